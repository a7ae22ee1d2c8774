(module
  (global $i (mut i32) (i32.const 0))
  (global $f (mut f64) (f64.const 0))
  (func $stack_pointer (result i32) (local i32)
    (global.set $i (local.tee 0 (i32.sub (global.get $i) (i32.const 16))))
    (global.set $f (f64.mul (global.get $f) (f64.const 2)))
    (local.get 0))
)
