//! What one guest gets of the world, and how it is put together.

use std::io::{Read, Write};

use cap_std::fs::Dir;

use crate::clocks::Clocks;
use crate::stdio::{Input, Output};
use crate::strings::StringArray;
use crate::table::{Descriptor, Table};

/// Everything that a guest can reach through WASI: its arguments, environment,
/// streams and directories. Made by a [`WasiCtxBuilder`], kept in the data of a
/// [`Store`](vm_engine::Store).
pub struct WasiCtx {
    pub(crate) args: StringArray,
    pub(crate) env: StringArray,
    pub(crate) clocks: Clocks,
    pub(crate) table: Table,
}

impl WasiCtx {
    /// The same as [`WasiCtxBuilder::new`].
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }
}

impl std::fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasiCtx")
            .field("args", &self.args)
            .field("env", &self.env)
            .finish_non_exhaustive()
    }
}

/// Why [`WasiCtxBuilder::build`] refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Guests get strings that end at the first NUL, so one with a NUL in it
    /// can't be passed whole.
    #[error("{what} {text:?} contains a NUL character; remove it")]
    Nul {
        /// Which kind of string it is.
        what: &'static str,
        /// The string.
        text: String,
    },
    /// The environment is a list of `NAME=VALUE`, so a name can neither be
    /// empty nor contain the `=`.
    #[error(
        "{0:?} can't be the name of an environment variable: it must be non-empty, without `=`"
    )]
    EnvironmentName(String),
    /// The sizes are 32-bit numbers in the guest.
    #[error("the {0} are too large together: a guest can be given at most 4 GiB")]
    TooLarge(&'static str),
}

/// Puts a [`WasiCtx`] together. A fresh one grants nothing: no arguments, no
/// environment, no directory; standard input is at its end, and standard
/// output and error are thrown away.
///
/// ```
/// let ctx = vm_wasi::WasiCtxBuilder::new()
///     .inherit_stdio()
///     .arg("prog")
///     .args(&["-v", "input.txt"])
///     .env("LANG", "C")
///     .build()?;
/// # Ok::<(), vm_wasi::BuildError>(())
/// ```
pub struct WasiCtxBuilder {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    preopens: Vec<(Dir, String)>,
}

impl Default for WasiCtxBuilder {
    fn default() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }
}

impl WasiCtxBuilder {
    /// A builder for a guest that is given nothing.
    pub fn new() -> WasiCtxBuilder {
        WasiCtxBuilder {
            args: Vec::new(),
            env: Vec::new(),
            stdin: closed(),
            stdout: sink(),
            stderr: sink(),
            preopens: Vec::new(),
        }
    }

    /// Appends an argument. The first one is the program's name by custom.
    pub fn arg(&mut self, arg: impl AsRef<str>) -> &mut WasiCtxBuilder {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Appends arguments.
    pub fn args(&mut self, args: &[impl AsRef<str>]) -> &mut WasiCtxBuilder {
        self.args
            .extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable. Setting one again replaces its value.
    pub fn env(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> &mut WasiCtxBuilder {
        let (name, value) = (name.as_ref(), value.as_ref());
        match self.env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Sets environment variables.
    pub fn envs(&mut self, env: &[(impl AsRef<str>, impl AsRef<str>)]) -> &mut WasiCtxBuilder {
        for (name, value) in env {
            self.env(name, value);
        }
        self
    }

    /// Uses the host process's standard input, output and error.
    pub fn inherit_stdio(&mut self) -> &mut WasiCtxBuilder {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Uses the host process's standard input.
    pub fn inherit_stdin(&mut self) -> &mut WasiCtxBuilder {
        self.stdin = Input::inherit();
        self
    }

    /// Uses the host process's standard output.
    pub fn inherit_stdout(&mut self) -> &mut WasiCtxBuilder {
        self.stdout = Output::inherit_stdout();
        self
    }

    /// Uses the host process's standard error.
    pub fn inherit_stderr(&mut self) -> &mut WasiCtxBuilder {
        self.stderr = Output::inherit_stderr();
        self
    }

    /// Lets the guest read its standard input from `reader`.
    pub fn stdin(&mut self, reader: impl Read + Send + 'static) -> &mut WasiCtxBuilder {
        self.stdin = Input::new(Box::new(reader));
        self
    }

    /// Passes the guest's standard output to `writer`, which is flushed after
    /// every write.
    pub fn stdout(&mut self, writer: impl Write + Send + 'static) -> &mut WasiCtxBuilder {
        self.stdout = Output::new(Box::new(writer));
        self
    }

    /// Passes the guest's standard error to `writer`, which is flushed after
    /// every write.
    pub fn stderr(&mut self, writer: impl Write + Send + 'static) -> &mut WasiCtxBuilder {
        self.stderr = Output::new(Box::new(writer));
        self
    }

    /// Gives the guest a directory, with all that is below it, under the name
    /// `guest_path` (`/`, `.`, `/data` …). The first one is descriptor 3.
    pub fn preopened_dir(&mut self, dir: Dir, guest_path: impl AsRef<str>) -> &mut WasiCtxBuilder {
        self.preopens.push((dir, guest_path.as_ref().to_owned()));
        self
    }

    /// The context. The builder is empty afterwards, as if new.
    ///
    /// # Errors
    ///
    /// A string that can't be passed to a guest: see [`BuildError`].
    pub fn build(&mut self) -> Result<WasiCtx, BuildError> {
        let builder = std::mem::take(self);

        let mut args = StringArray::default();
        for arg in &builder.args {
            no_nul("the argument", arg)?;
            args.push(arg).ok_or(BuildError::TooLarge("arguments"))?;
        }
        let mut env = StringArray::default();
        for (name, value) in &builder.env {
            if name.is_empty() || name.contains('=') {
                return Err(BuildError::EnvironmentName(name.clone()));
            }
            let pair = format!("{name}={value}");
            no_nul("the environment variable", &pair)?;
            env.push(&pair)
                .ok_or(BuildError::TooLarge("environment variables"))?;
        }

        let mut table = Table::default();
        let mut descriptors = vec![
            Descriptor::input(builder.stdin),
            Descriptor::output(builder.stdout),
            Descriptor::output(builder.stderr),
        ];
        for (dir, guest_path) in builder.preopens {
            no_nul("the guest path", &guest_path)?;
            descriptors.push(Descriptor::preopened(dir, guest_path));
        }
        for descriptor in descriptors {
            table
                .push(descriptor)
                .map_err(|_| BuildError::TooLarge("preopened directories"))?;
        }

        Ok(WasiCtx {
            args,
            env,
            clocks: Clocks::new(),
            table,
        })
    }
}

fn closed() -> Input {
    Input::new(Box::new(std::io::empty()))
}

fn sink() -> Output {
    Output::new(Box::new(std::io::sink()))
}

fn no_nul(what: &'static str, text: &str) -> Result<(), BuildError> {
    if text.contains('\0') {
        return Err(BuildError::Nul {
            what,
            text: text.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_that_a_guest_cannot_get_whole_are_refused() {
        let error = WasiCtxBuilder::new().arg("a\0b").build().unwrap_err();
        assert!(error.to_string().contains("a\\0b"), "{error}");
        for name in ["", "A=B"] {
            let error = WasiCtxBuilder::new().env(name, "x").build().unwrap_err();
            assert_eq!(error, BuildError::EnvironmentName(name.to_owned()));
        }
        assert!(WasiCtxBuilder::new().env("A", "x\0").build().is_err());
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let ctx = WasiCtxBuilder::new()
            .envs(&[("A", "1"), ("B", "2")])
            .env("A", "3")
            .build()
            .unwrap();
        let mut bytes = vec![0; 64];
        let mut memory = crate::memory::GuestMemory::new(&mut bytes);
        ctx.env.get(&mut memory, 0, 8).unwrap();
        assert_eq!(memory.slice(8, 8), Ok(&b"A=3\0B=2\0"[..]));
    }

    #[test]
    fn a_context_can_move_to_another_thread() {
        fn send<T: Send>() {}
        send::<WasiCtx>();
        send::<WasiCtxBuilder>();
    }
}
