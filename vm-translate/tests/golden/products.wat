;; Helpers for products of 64 by 64 bits, which are recognised, and bodies that are nearly such.
(module
  (memory 1)

  ;; By parts, with another product added to the upper half.
  (func $by_parts (param $to i32) (param $a i64) (param $c i64) (param $b i64)
    (local $low i64) (local $t i64) (local $u i64)
    (local.set $low (i64.mul
      (i64.and (local.get $b) (i64.const 0xffffffff))
      (i64.and (local.get $a) (i64.const 0xffffffff))))
    (local.set $t (i64.add
      (i64.mul
        (i64.and (local.get $a) (i64.const 0xffffffff))
        (i64.shr_u (local.get $b) (i64.const 32)))
      (i64.shr_u (local.get $low) (i64.const 32))))
    (local.set $u (i64.add
      (i64.mul
        (i64.and (local.get $b) (i64.const 0xffffffff))
        (i64.shr_u (local.get $a) (i64.const 32)))
      (i64.and (local.get $t) (i64.const 0xffffffff))))
    (i64.store offset=8 (local.get $to)
      (i64.add
        (i64.add
          (i64.add
            (i64.mul (local.get $c) (local.get $b))
            (i64.mul
              (i64.shr_u (local.get $a) (i64.const 32))
              (i64.shr_u (local.get $b) (i64.const 32))))
          (i64.shr_u (local.get $t) (i64.const 32)))
        (i64.shr_u (local.get $u) (i64.const 32))))
    (i64.store (local.get $to)
      (i64.or
        (i64.and (local.get $low) (i64.const 0xffffffff))
        (i64.shl (local.get $u) (i64.const 32)))))

  ;; By carries, with both other products of an unabridged one.
  (func $by_carries (param $to i32) (param $a i64) (param $a1 i64) (param $b i64) (param $b1 i64)
    (local $low i64) (local $cross i64) (local $middle i64)
    (i64.store (local.get $to)
      (i64.add
        (local.tee $low (i64.mul
          (i64.and (local.get $b) (i64.const 0xffffffff))
          (i64.and (local.get $a) (i64.const 0xffffffff))))
        (i64.shl
          (local.tee $middle (i64.add
            (local.tee $cross (i64.mul
              (i64.shr_u (local.get $b) (i64.const 32))
              (i64.and (local.get $a) (i64.const 0xffffffff))))
            (i64.mul
              (i64.and (local.get $b) (i64.const 0xffffffff))
              (i64.shr_u (local.get $a) (i64.const 32)))))
          (i64.const 32))))
    (i64.store offset=8 (local.get $to)
      (i64.add
        (i64.add
          (i64.add
            (i64.mul
              (i64.shr_u (local.get $b) (i64.const 32))
              (i64.shr_u (local.get $a) (i64.const 32)))
            (i64.or
              (i64.shl
                (i64.extend_i32_u (i64.lt_u (local.get $middle) (local.get $cross)))
                (i64.const 32))
              (i64.shr_u (local.get $middle) (i64.const 32))))
          (i64.extend_i32_u (i64.lt_u
            (i64.add (local.get $low) (i64.shl (local.get $middle) (i64.const 32)))
            (local.get $low))))
        (i64.add
          (i64.mul (local.get $b1) (local.get $a))
          (i64.mul (local.get $b) (local.get $a1))))))

  ;; The first without its third factor, and one shift too short: translated as it is written.
  (func $nearly (param $to i32) (param $a i64) (param $b i64)
    (local $low i64) (local $t i64) (local $u i64)
    (local.set $low (i64.mul
      (i64.and (local.get $b) (i64.const 0xffffffff))
      (i64.and (local.get $a) (i64.const 0xffffffff))))
    (local.set $t (i64.add
      (i64.mul
        (i64.and (local.get $a) (i64.const 0xffffffff))
        (i64.shr_u (local.get $b) (i64.const 32)))
      (i64.shr_u (local.get $low) (i64.const 32))))
    (local.set $u (i64.add
      (i64.mul
        (i64.and (local.get $b) (i64.const 0xffffffff))
        (i64.shr_u (local.get $a) (i64.const 32)))
      (i64.and (local.get $t) (i64.const 0xffffffff))))
    (i64.store offset=8 (local.get $to)
      (i64.add
        (i64.add
          (i64.mul
            (i64.shr_u (local.get $a) (i64.const 32))
            (i64.shr_u (local.get $b) (i64.const 32)))
          (i64.shr_u (local.get $t) (i64.const 32)))
        (i64.shr_u (local.get $u) (i64.const 31))))
    (i64.store (local.get $to)
      (i64.or
        (i64.and (local.get $low) (i64.const 0xffffffff))
        (i64.shl (local.get $u) (i64.const 32))))))
