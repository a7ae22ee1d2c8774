;; Vectors take two slots each; numbers beside them keep theirs.
(module
  (memory 1)
  (global $sum (mut v128) (v128.const i64x2 0 0))
  (func $mix (param i32 v128 i32) (result v128 i32)
    (v128.bitselect (local.get 1) (i32x4.splat (local.get 2)) (v128.const i32x4 1 2 3 4))
    (local.get 0))

  (func (export "lanes") (param $address i32) (result i32)
    (local $v v128) (local $n i32) (local $w v128)
    (local.set $v (v128.load offset=16 (local.get $address)))
    (local.set $w (v128.load16_lane 3 (local.get $address) (local.get $v)))
    (v128.store32_lane offset=4 1 (local.get $address) (i32x4.add (local.get $v) (local.get $w)))
    (v128.store (local.get $address)
      (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get $v) (local.get $w)))
    (global.set $sum (select (global.get $sum) (v128.load8x8_s (local.get $address)) (local.get $n)))
    (call $mix (local.get $n) (v128.load64_splat (local.get $address)) (i32.const 7))
    (local.set $n)
    (local.set $w)
    (loop $again
      (local.set $v (f32x4.mul (local.get $v) (local.get $w)))
      (br_if $again (v128.any_true (local.get $v))))
    (i32.add (local.get $n) (i16x8.bitmask (local.get $v))))

  (func (export "branch") (param v128 i64) (result i64 v128)
    (block $out (result i64 v128)
      (br_if $out (local.get 1) (local.get 0) (i64.eqz (local.get 1)))
      (drop) (drop)
      (i64.const -1) (v128.not (local.get 0)))))
