(module
  (memory 1)
  (func $f (param i32))
  ;; Only the innermost loops are entered: a branch back to one of the others says where it leads.
  (func $nested (param $n i32) (param $m i32) (local $i i32)
    (loop $outer
      (local.set $i (local.get $m))
      (loop $inner
        (i32.store8 (local.get $i) (local.get $n))
        (br_if $inner (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
      (loop $after
        (br_if $outer (i32.eqz (local.get $i)))
        (local.set $i (i32.shr_u (local.get $i) (i32.const 1)))
        (br $after))))
  ;; From the middle, by a branch of its own, and through a table.
  (func $ways (param $n i32) (param $m i32)
    (loop $again
      (local.set $n (i32.sub (local.get $n) (local.get $m)))
      (br_if $again (i32.lt_s (local.get $n) (local.get $m)))
      (call $f (local.get $n))
      (block $out
        (br_table $again $out (local.get $n)))
      (if (local.get $m) (then (br $again)))
      (br_if $again (i32.eqz (local.get $n)))))
  ;; A loop that nothing branches back to.
  (func $once (param $n i32) (result i32)
    (loop (result i32) (i32.add (local.get $n) (i32.const 1)))))
