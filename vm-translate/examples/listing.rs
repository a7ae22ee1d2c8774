//! Prints the IR of every function of a module, in the binary or the text format.
//!
//! `cargo run -p vm-translate --example listing -- FILE`

use vm_translate::{Features, Module, PlainShapes, TranslateOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: listing FILE")?;
    let module = Module::new(wat::parse_file(path)?, &Features::default())?;
    let options = TranslateOptions::new(&PlainShapes);
    for func in module.imported_funcs()..module.func_count() {
        println!("{}", module.translate(func, &options)?.listing(&module));
    }
    Ok(())
}
