//! Ways to have the model wrong: sequences that are any good notice each of them soon.

/// A mistake in the model. Each is one that an engine could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The last page that a memory may have is refused.
    MemoryLimit,
    /// The last element that a table may have is refused.
    TableLimit,
    /// Growth by nothing of what has grown to its limit is refused.
    NoGrowth,
    /// The instance that is one too many for a limited store is made.
    InstanceLimit,
    /// The host's growth during a call is not there for the guest.
    GrowthDuringCall,
    /// What the host sets a global to during a call is lost.
    SetDuringCall,
    /// A trap undoes what the call did to the global.
    UndoneByTrap,
    /// An error of the host's undoes what was added before it.
    UndoneByError,
    /// A panic of the host's undoes what was added before it.
    UndoneByPanic,
    /// A fill that does not fit writes as much as fits.
    PartialFill,
    /// An empty fill at the end of memory traps.
    EmptyFill,
    /// The host's write that does not fit writes as much as fits.
    PartialWrite,
    /// The last bytes of a memory cannot be loaded.
    LastBytes,
    /// A call of a null element is taken for one of none.
    NullElement,
    /// Elements call functions of the table's instance, and not their own.
    WrongInstance,
    /// Tables grow with null.
    GrowthWithNull,
    /// The smallest number by -1 is a division by zero.
    DivisionOverflow,
    /// An instance that shares has what is its own.
    NothingShared,
    /// A call from the host that failed ends the guest although the host goes on.
    NestedFailure,
    /// A trap in a call from the host says nothing of the frames further out.
    OuterFrames,
    /// One frame is missing where frames are many.
    DeepFrames,
    /// A store of a host function's that failed ends its guest as well.
    OtherStore,
    /// A dropped store lives on.
    ForgottenDrop,
    /// A store that is made during a call lives on.
    ForgottenOtherStore,
}

impl Flaw {
    /// All of them.
    pub const ALL: &[Flaw] = &[
        Flaw::MemoryLimit,
        Flaw::TableLimit,
        Flaw::NoGrowth,
        Flaw::InstanceLimit,
        Flaw::GrowthDuringCall,
        Flaw::SetDuringCall,
        Flaw::UndoneByTrap,
        Flaw::UndoneByError,
        Flaw::UndoneByPanic,
        Flaw::PartialFill,
        Flaw::EmptyFill,
        Flaw::PartialWrite,
        Flaw::LastBytes,
        Flaw::NullElement,
        Flaw::WrongInstance,
        Flaw::GrowthWithNull,
        Flaw::DivisionOverflow,
        Flaw::NothingShared,
        Flaw::NestedFailure,
        Flaw::OuterFrames,
        Flaw::DeepFrames,
        Flaw::OtherStore,
        Flaw::ForgottenDrop,
        Flaw::ForgottenOtherStore,
    ];
}
