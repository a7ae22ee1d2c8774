//! A small Lisp: a reader, an evaluator with closures over shared environments, run on a few
//! recursive programs. Reference counts, enums, string keys.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::run;

const STANDARD_ROUNDS: u32 = 65;

#[derive(Clone)]
enum Value {
    Nil,
    Number(i64),
    Symbol(Rc<str>),
    Pair(Rc<(Value, Value)>),
    Closure(Rc<(Value, Value, Env)>),
}

#[derive(Clone)]
struct Env(Rc<(RefCell<Vec<(Rc<str>, Value)>>, Option<Env>)>);

impl Env {
    fn new(outer: Option<Env>) -> Env {
        Env(Rc::new((RefCell::new(Vec::new()), outer)))
    }

    fn get(&self, name: &str) -> Option<Value> {
        let found = self
            .0
            .0
            .borrow()
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, v)| v.clone());
        found.or_else(|| self.0.1.as_ref()?.get(name))
    }

    fn set(&self, name: &Rc<str>, value: Value) {
        self.0.0.borrow_mut().push((name.clone(), value));
    }
}

fn list(values: Vec<Value>) -> Value {
    values.into_iter().rev().fold(Value::Nil, |rest, first| {
        Value::Pair(Rc::new((first, rest)))
    })
}

fn read(words: &mut std::str::SplitWhitespace<'_>) -> Option<Value> {
    match words.next()? {
        "(" => {
            let mut values = Vec::new();
            while let Some(value) = read(words) {
                values.push(value);
            }
            Some(list(values))
        }
        ")" => None,
        word => Some(
            word.parse()
                .map_or_else(|_| Value::Symbol(word.into()), Value::Number),
        ),
    }
}

fn first(value: &Value) -> Value {
    if let Value::Pair(pair) = value {
        pair.0.clone()
    } else {
        Value::Nil
    }
}

fn rest(value: &Value) -> Value {
    if let Value::Pair(pair) = value {
        pair.1.clone()
    } else {
        Value::Nil
    }
}

fn number(value: &Value) -> i64 {
    if let Value::Number(number) = value {
        *number
    } else {
        0
    }
}

fn eval(expression: &Value, env: &Env) -> Value {
    let pair = match expression {
        Value::Symbol(name) => return env.get(name).unwrap_or(Value::Nil),
        Value::Pair(pair) => pair,
        other => return other.clone(),
    };
    let argument = |index: usize| (0..index).fold(pair.1.clone(), |list, _| rest(&list));
    let value = |index| eval(&first(&argument(index)), env);
    if let Value::Symbol(name) = &pair.0 {
        let truth = |is: bool| if is { Value::Number(1) } else { Value::Nil };
        match &**name {
            "quote" => return first(&pair.1),
            "if" => {
                let chosen = if matches!(value(0), Value::Nil) { 2 } else { 1 };
                return value(chosen);
            }
            "define" => {
                if let Value::Symbol(name) = first(&pair.1) {
                    env.set(&name, value(1));
                }
                return Value::Nil;
            }
            "lambda" => {
                let parts = (first(&pair.1), first(&argument(1)), env.clone());
                return Value::Closure(Rc::new(parts));
            }
            "+" => return Value::Number(number(&value(0)).wrapping_add(number(&value(1)))),
            "-" => return Value::Number(number(&value(0)).wrapping_sub(number(&value(1)))),
            "*" => return Value::Number(number(&value(0)).wrapping_mul(number(&value(1)))),
            "<" => return truth(number(&value(0)) < number(&value(1))),
            "=" => return truth(number(&value(0)) == number(&value(1))),
            "cons" => return Value::Pair(Rc::new((value(0), value(1)))),
            "car" => return first(&value(0)),
            "cdr" => return rest(&value(0)),
            _ => {}
        }
    }
    let Value::Closure(closure) = eval(&pair.0, env) else {
        return Value::Nil;
    };
    let inner = Env::new(Some(closure.2.clone()));
    let (mut names, mut arguments) = (closure.0.clone(), pair.1.clone());
    while let Value::Pair(pair) = names {
        if let Value::Symbol(name) = &pair.0 {
            inner.set(name, eval(&first(&arguments), env));
        }
        arguments = rest(&arguments);
        names = pair.1.clone();
    }
    eval(&closure.1, &inner)
}

const PROGRAM: &str = "
( define fib ( lambda ( n ) ( if ( < n 2 ) n ( + ( fib ( - n 1 ) ) ( fib ( - n 2 ) ) ) ) ) )
( define range ( lambda ( n ) ( if ( = n 0 ) ( quote ( ) ) ( cons n ( range ( - n 1 ) ) ) ) ) )
( define map ( lambda ( f l ) ( if l ( cons ( f ( car l ) ) ( map f ( cdr l ) ) ) l ) ) )
( define sum ( lambda ( l ) ( if l ( + ( car l ) ( sum ( cdr l ) ) ) 0 ) ) )
( define adder ( lambda ( k ) ( lambda ( x ) ( + ( * x x ) k ) ) ) )
( + ( fib 13 ) ( sum ( map ( adder 7 ) ( range 60 ) ) ) )";

fn main() {
    run(STANDARD_ROUNDS, |digest| {
        let env = Env::new(None);
        let mut words = PROGRAM.split_whitespace();
        let mut last = Value::Nil;
        while let Some(expression) = read(&mut words) {
            last = eval(&expression, &env);
        }
        assert_eq!(number(&last), 233 + 73_810 + 420);
        digest.add(number(&last) as u64);
    });
}
