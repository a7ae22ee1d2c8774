//! A look at where a module's sections end, before anything is read of them.

use wasmparser::{BinaryReader, WasmFeatures};

use crate::Error;

/// What stands before the first section: the magic number and the version.
const HEADER: &[u8] = b"\0asm\x01\0\0\0";

/// Refuses a module whose last section is longer than what there is: it has been cut short. Without
/// this it would be validated up to there first.
///
/// Everything else that may be wrong is left to the parser.
pub(crate) fn check_complete(bytes: &[u8]) -> Result<(), Error> {
    let Some(mut rest) = bytes.strip_prefix(HEADER) else {
        return Ok(());
    };
    while !rest.is_empty() {
        let start = bytes.len() - rest.len();
        let mut reader = BinaryReader::new_features(rest, start as u64, WasmFeatures::empty());
        let cut = |what: &str| Error::Invalid {
            message: format!("unexpected end: {what} of the section at {start:#x} is cut short"),
            offset: bytes.len() as u64,
        };
        let size = match (reader.read_u8(), reader.read_var_u32()) {
            (Ok(_), Ok(size)) => size as usize,
            (Ok(_), Err(_)) if reader.eof() => return Err(cut("the size")),
            // A size that is not a number.
            _ => return Ok(()),
        };
        let content = &rest[reader.current_position()..];
        rest = content.get(size..).ok_or_else(|| cut("the content"))?;
    }
    Ok(())
}
