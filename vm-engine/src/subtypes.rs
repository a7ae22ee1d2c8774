//! Types of functions that are defined as subtypes of others.

use crate::error::{Result, TypeError};
use crate::low;
use crate::types::{Finality, FuncType, ValType, low_type};

impl FuncType {
    /// The type of a function with these parameters and results, which may have subtypes or be one.
    ///
    /// # Errors
    ///
    /// [`TypeError::Supertype`] if `supertype` is final, or what it says of parameters and results does not hold for this one.
    pub fn with_finality_and_supertype(
        finality: Finality,
        supertype: Option<&FuncType>,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> Result<FuncType> {
        // They hold the types that they refer to until the new one does.
        let params: Vec<ValType> = params.into_iter().collect();
        let results: Vec<ValType> = results.into_iter().collect();
        let ty = low_type(&params, &results);
        let is_final = finality == Finality::Final;
        let above = supertype.map(FuncType::low);
        match (
            low::RegisteredType::with_supertype(&ty, is_final, above),
            supertype,
        ) {
            (Some(ty), _) => Ok((&ty).into()),
            (None, Some(supertype)) => Err(TypeError::Supertype {
                ty: FuncType::new(params, results),
                supertype: supertype.clone(),
            }
            .into()),
            (None, None) => unreachable!("nothing is above it that could refuse it"),
        }
    }
}
