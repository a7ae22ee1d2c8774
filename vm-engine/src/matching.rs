//! Whether something may stand where a module imports something (core specification, §4.5.2
//! "External typing" and §3.4 "Matching").

use crate::error::LinkError;

use crate::types::{ExternType, ImportType, Mutability};
use crate::{Error, Result};

/// Checks that an object of type `found` may stand where `import` is.
pub(crate) fn check(import: &ImportType<'_>, found: ExternType) -> Result<()> {
    if fits(&import.ty, &found) {
        return Ok(());
    }
    Err(Error::from(LinkError::IncompatibleImport {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        expected: import.ty(),
        found,
    }))
}

/// Whether an object of type `found`, with its present size as minimum, fits an import of type
/// `expected`.
pub(crate) fn fits(expected: &ExternType, found: &ExternType) -> bool {
    match (expected, found) {
        (ExternType::Func(expected), ExternType::Func(found)) => found.matches(expected),
        (ExternType::Global(expected), ExternType::Global(found)) => {
            expected.mutability() == found.mutability()
                && match expected.mutability() {
                    Mutability::Var => expected.content() == found.content(),
                    Mutability::Const => found.content().matches(expected.content()),
                }
        }
        (ExternType::Tag(expected), ExternType::Tag(found)) => expected == found,
        (ExternType::Table(expected), ExternType::Table(found)) => {
            expected.element() == found.element()
                && expected.is_64() == found.is_64()
                && limits_fit(
                    (expected.minimum(), expected.maximum()),
                    (found.minimum(), found.maximum()),
                )
        }
        (ExternType::Memory(expected), ExternType::Memory(found)) => {
            expected.is_64() == found.is_64()
                && expected.is_shared() == found.is_shared()
                && expected.page_size_log2() == found.page_size_log2()
                && limits_fit(
                    (expected.minimum(), expected.maximum()),
                    (found.minimum(), found.maximum()),
                )
        }
        _ => false,
    }
}

fn limits_fit(expected: (u64, Option<u64>), found: (u64, Option<u64>)) -> bool {
    found.0 >= expected.0
        && match (expected.1, found.1) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(expected), Some(found)) => found <= expected,
        }
}

#[cfg(test)]
mod tests {
    use super::fits;
    use crate::{
        ExternType, Finality, FuncType, GlobalType, HeapType, MemoryType, Mutability, RefType,
        TableType, ValType,
    };

    fn memory(minimum: u32, maximum: Option<u32>) -> ExternType {
        MemoryType::new(minimum, maximum).into()
    }

    fn table(element: RefType, minimum: u32, maximum: Option<u32>) -> ExternType {
        TableType::new(element, minimum, maximum).into()
    }

    #[test]
    fn limits_may_be_narrower_but_not_wider() {
        for (make, name) in [
            (memory as fn(_, _) -> _, "memory"),
            (|min, max| table(RefType::FUNCREF, min, max), "table"),
        ] {
            assert!(fits(&make(1, None), &make(1, None)), "{name}");
            assert!(fits(&make(1, None), &make(2, Some(3))), "{name}");
            assert!(fits(&make(1, Some(3)), &make(2, Some(3))), "{name}");
            assert!(fits(&make(1, Some(3)), &make(1, Some(2))), "{name}");
            assert!(!fits(&make(2, None), &make(1, None)), "{name}");
            assert!(!fits(&make(1, Some(3)), &make(1, None)), "{name}");
            assert!(!fits(&make(1, Some(3)), &make(1, Some(4))), "{name}");
        }
    }

    #[test]
    fn what_is_a_subtype_fits_where_nobody_can_write() {
        let func = |finality, above: Option<&FuncType>| {
            FuncType::with_finality_and_supertype(finality, above, [ValType::F32], []).unwrap()
        };
        let top = func(Finality::NonFinal, None);
        let sub = func(Finality::Final, Some(&top));
        let (top_ty, sub_ty): (ExternType, ExternType) = (top.clone().into(), sub.clone().into());
        assert!(fits(&top_ty, &sub_ty) && !fits(&sub_ty, &top_ty));
        assert!(!fits(&top_ty, &FuncType::new([ValType::F32], []).into()));
        let reference = |nullable, ty: &FuncType| RefType::new(nullable, ty.clone().into());
        let types = [
            RefType::FUNCREF,
            reference(true, &top),
            reference(true, &sub),
            reference(false, &sub),
        ];
        let global = |ty: &RefType, mutability| -> ExternType {
            GlobalType::new(ty.clone().into(), mutability).into()
        };
        for (n, expected) in types.iter().enumerate() {
            for (m, found) in types.iter().enumerate() {
                let is_fit =
                    |mutability| fits(&global(expected, mutability), &global(found, mutability));
                assert_eq!(is_fit(Mutability::Const), n <= m);
                assert_eq!(is_fit(Mutability::Var), n == m);
                let element = |ty: &RefType| table(ty.clone(), 0, None);
                assert_eq!(fits(&element(expected), &element(found)), n == m);
            }
        }
        assert!(!HeapType::Func.matches(&HeapType::Extern));
    }

    #[test]
    fn functions_globals_and_elements_must_be_the_same() {
        let unary: ExternType = FuncType::new([ValType::I32], []).into();
        let nullary: ExternType = FuncType::new([], []).into();
        assert!(fits(&unary, &unary));
        assert!(!fits(&unary, &nullary));
        let constant: ExternType = GlobalType::new(ValType::I32, Mutability::Const).into();
        let variable: ExternType = GlobalType::new(ValType::I32, Mutability::Var).into();
        assert!(fits(&variable, &variable));
        assert!(!fits(&variable, &constant));
        assert!(!fits(&constant, &variable));
        assert!(!fits(
            &table(RefType::FUNCREF, 0, None),
            &table(RefType::EXTERNREF, 0, None)
        ));
        assert!(!fits(&unary, &memory(0, None)));
    }
}
