//! Address-space reservations, guarded and bounded linear memory, guarded value stacks.
