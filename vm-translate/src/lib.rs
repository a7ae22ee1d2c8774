//! Validates WebAssembly and translates it to Palisade's register IR, with checked and unchecked
//! forms of every memory access.

mod atomic;
mod binary;
mod bodies;
mod check;
mod display;
mod error;
mod features;
mod fuel;
mod handlers;
mod hints;
pub mod ir;
mod missing;
mod module;
mod names;
pub mod op;
mod points;
mod registry;
mod sections;
mod segment;
pub mod shape;
mod site;
mod translate;
mod types;
mod validate;

pub use atomic::{AtomicKind, AtomicOp};
pub use binary::Binary;
pub use check::{Broken, check};
pub use error::Error;
pub use features::{FeatureError, Features};
pub use fuel::{FuelCosts, UnknownOperator};
pub use hints::{BranchHint, CustomSectionError};
pub use ir::Function;
pub use missing::missing_features;
pub use module::{Export, Import, Module};
pub use op::{Effect, Op, StoreOp, Ty};
pub use points::FrameTypes;
pub use registry::{RegisteredType, TypeId};
pub use segment::{ConstExpr, ConstOp, DataMode, DataSegment, ElemItems, ElemMode, ElemSegment};
pub use shape::{PlainShapes, Registers, ShapeKey, Shapes};
pub use site::{Point, PointKind, Site, SiteValue, Sites};
pub use translate::{
    Additions, BaselineFrame, BaselineSink, BaselineTranslator, TranslateAllocations,
    TranslateOptions,
};
pub use types::{
    ExternKind, ExternType, FuncType, GlobalType, HeapType, MemoryType, RefType, TableType, ValType,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
