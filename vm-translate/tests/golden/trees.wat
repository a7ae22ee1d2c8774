(module
  (memory 1)
  ;; Expressions become trees as large as the shapes allow.
  (func $polynomial (param $x i32) (result i32)
    (i32.add
      (i32.mul (i32.add (i32.mul (local.get $x) (i32.const 3)) (i32.const 5)) (local.get $x))
      (i32.const 7)))
  ;; A constant on the left of an integer operator goes to the right.
  (func $mirrored (param i32 i64) (result i32)
    (i32.add
      (i32.sub (i32.const 1) (local.get 0))
      (i64.lt_s (i64.const 2) (local.get 1))))
  ;; Two deep operands: one of them is computed first.
  (func $two_sides (param f64 f64) (result f64)
    (f64.div
      (f64.add (f64.mul (local.get 0) (local.get 0)) (f64.const 1))
      (f64.sub (f64.mul (local.get 1) (local.get 1)) (f64.const 0.5))))
  ;; eqz of a comparison is the inverted comparison, and of a condition it swaps the choices.
  (func $select (param i32 i32 f32 f32) (result f32)
    (select (local.get 2) (local.get 3)
      (i32.eqz (i32.and (local.get 0) (i32.eqz (i32.lt_u (local.get 0) (local.get 1)))))))
  (func $address (param i32) (result i64)
    (i64.load offset=8 (i32.add (local.get 0) (i32.load (local.get 0)))))
)
