//! The text format of the older proposal for exceptions, as far as the text parser does not take it.

use wast::lexer::{Lexer, TokenKind};

/// What a parenthesis that is open belongs to.
enum Open {
    Other,
    /// A `try`, and whether it ends with a `delegate`.
    Try(bool),
    /// A part of one: `do`, `catch`, `catch_all` or `delegate`.
    Part,
}

/// A script in which every folded `try` is written as the instructions that it stands for; nothing if it has none.
///
/// The parser takes `try`, `catch` and so on as instructions, but not `(try (do …) (catch …))`. Lines stay what they are.
pub(crate) fn unfolded(text: &str) -> Option<String> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let mut tokens = Vec::new();
    for token in lexer.iter(0) {
        let token = token.ok()?;
        let is_blank = matches!(
            token.kind,
            TokenKind::Whitespace | TokenKind::LineComment | TokenKind::BlockComment
        );
        if !is_blank {
            tokens.push(token);
        }
    }
    let mut out = String::with_capacity(text.len() + 64);
    let (mut copied, mut any) = (0, false);
    let mut open: Vec<Open> = Vec::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let at = token.offset;
        let end = at + token.src(text).len();
        let (mut until, mut instead) = (end, None);
        match token.kind {
            TokenKind::LParen => {
                let next = tokens.get(index + 1);
                let keyword = next.filter(|next| next.kind == TokenKind::Keyword);
                let keyword = keyword.map_or("", |next| next.src(text));
                match (open.last_mut(), keyword) {
                    (Some(Open::Try(delegates)), "do" | "catch" | "catch_all" | "delegate") => {
                        *delegates |= keyword == "delegate";
                        open.push(Open::Part);
                        instead = Some("");
                        if let (Some(next), "do") = (next, keyword) {
                            index += 1;
                            until = next.offset + keyword.len();
                        }
                    }
                    (_, "try") => {
                        open.push(Open::Try(false));
                        instead = Some("");
                        any = true;
                    }
                    _ => open.push(Open::Other),
                }
            }
            TokenKind::RParen => {
                instead = match open.pop() {
                    Some(Open::Try(false)) => Some(" end "),
                    Some(Open::Try(true) | Open::Part) => Some(" "),
                    Some(Open::Other) | None => None,
                };
            }
            _ => {}
        }
        if let Some(instead) = instead {
            out += &text[copied..at];
            out += instead;
            copied = until;
        }
        index += 1;
    }
    out += &text[copied..];
    any.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::unfolded;

    #[test]
    fn a_folded_try_becomes_instructions() {
        let text = "(func (try $l (result i32) (do (try (do nop) (delegate $l)))\n(catch $e drop) (catch_all (call 0))))";
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let unfolded = unfolded(text).unwrap();
        assert_eq!(
            words(&unfolded),
            "(func try $l (result i32) try nop delegate $l catch $e drop catch_all (call 0) end )"
        );
        assert_eq!(unfolded.lines().count(), 2);
    }

    #[test]
    fn other_scripts_stay_what_they_are() {
        let text = r#"(module (func $try (export "(try") (block try_table end))) ;; (try"#;
        assert_eq!(unfolded(text), None);
    }
}
