(module
  ;; The most used locals are pinned, those in loops before others; parameters keep their slot.
  (func $pins (param $rare i32) (param $often i64) (result i64) (local $hot i64) (local $once i32)
    (local.set $once (local.get $rare))
    (loop $l
      (local.set $hot (i64.add (local.get $hot) (local.get $often)))
      (local.set $often (i64.shr_u (local.get $often) (i64.const 1)))
      (br_if $l (i64.ne (local.get $often) (i64.const 0))))
    (i64.add (local.get $hot) (i64.extend_i32_u (local.get $once))))
  (func $tee (param i32) (result i32) (local i32)
    (i32.add (local.tee 1 (i32.mul (local.get 0) (i32.const 2))) (local.get 1)))
  (func $tee_constant (result i32) (local i32)
    (i32.add (local.tee 0 (i32.const 5)) (local.get 0)))
  (func $kinds (param f32 f64) (local i32 f32 f64 i64)
    (local.set 3 (local.get 0)) (local.set 4 (local.get 1))
    (local.set 3 (f32.add (local.get 3) (f32.const 1)))
    (local.set 4 (f64.add (local.get 4) (f64.const 1))))
)
