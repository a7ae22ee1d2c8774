//! Plain value stacks, on every platform.

use vm_memory::ValueStack;

#[test]
fn a_plain_stack_has_whole_zeroed_slots_and_no_guard() {
    for (bytes, slots) in [(0, 0), (1, 1), (8, 1), (9, 2), (8000, 1000)] {
        let stack = ValueStack::plain(bytes).unwrap();
        assert_eq!((stack.slots(), stack.len_bytes()), (slots, slots * 8));
        assert_eq!(stack.guard(), None);
        assert!(stack.base().is_aligned() && !stack.base().is_null());
        assert_eq!(stack.limit().addr() - stack.base().addr(), slots * 8);
        for index in 0..slots {
            // SAFETY: `index` is a slot of a stack that nothing else uses.
            unsafe {
                let slot = stack.base().add(index);
                assert_eq!(slot.read(), 0);
                slot.write(index as u64);
            }
        }
    }
}

#[test]
fn a_stack_can_move_to_another_thread() {
    let stack = ValueStack::plain(64).unwrap();
    std::thread::spawn(move || {
        // SAFETY: the first slot of a stack that nothing else uses.
        unsafe { stack.base().write(1) }
    })
    .join()
    .unwrap();
}
