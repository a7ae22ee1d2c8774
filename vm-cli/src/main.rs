//! The `palisade` command. All of it is in the library next to this file, where
//! documentation can be tested.

fn main() -> std::process::ExitCode {
    vm_cli::main()
}
