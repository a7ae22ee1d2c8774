//! Turns memory faults of generated or interpreted guest code into traps: signal handlers, activations, recovery.
