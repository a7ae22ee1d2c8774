//! What the platform can do is said alike everywhere.

use vm_trap::{InstallError, Unavailable, availability, install, uninstall};

#[test]
fn installing_works_exactly_where_it_is_available() {
    let supported = !cfg!(miri)
        && cfg!(any(target_os = "linux", target_os = "macos"))
        && cfg!(any(target_arch = "x86_64", target_arch = "aarch64"))
        && cfg!(target_pointer_width = "64");
    assert_eq!(availability().is_ok(), supported);
    match (availability(), install()) {
        (Ok(()), Ok(())) => uninstall().expect("nobody runs"),
        (Err(reason), Err(InstallError::Unavailable(same))) => {
            assert_eq!(reason, same);
            if let Unavailable::Platform { arch, os } = &reason {
                let text = reason.to_string();
                assert!(text.contains(arch) && text.contains(os), "{text}");
            }
            assert!(uninstall().is_err());
        }
        (said, done) => panic!("said {said:?}, but {done:?}"),
    }
}
