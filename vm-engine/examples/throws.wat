;; Calls that go some frames down and come back by an exception, or by returning.
(module
  (tag $thrown (param i32))
  (func $throw (param $frames i32) (param $value i32) (result i32)
    (if (i32.eqz (local.get $frames)) (then (throw $thrown (local.get $value))))
    (i32.add
      (call $throw (i32.sub (local.get $frames) (i32.const 1)) (local.get $value))
      (i32.const 1)))
  (func $return (param $frames i32) (param $value i32) (result i32)
    (if (i32.eqz (local.get $frames)) (then (return (local.get $value))))
    (i32.add
      (call $return (i32.sub (local.get $frames) (i32.const 1)) (local.get $value))
      (i32.const 1)))
  (func $throws (export "throws") (param $frames i32) (param $rounds i32) (result i32) (local $sum i32)
    (loop $round
      (block $handler (result i32)
        (try_table (catch $thrown $handler)
          (drop (call $throw (local.get $frames) (local.get $rounds))))
        (unreachable))
      (local.set $sum (i32.add (local.get $sum)))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
    (local.get $sum))
  ;; As `returns`, with clauses for exceptions that nobody throws.
  (func $guarded (export "guarded") (param $frames i32) (param $rounds i32) (result i32) (local $sum i32)
    (block $handler (result i32)
      (loop $round
        (try_table (catch $thrown $handler)
          (local.set $sum
            (i32.add (local.get $sum) (call $return (local.get $frames) (local.get $rounds)))))
        (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (local.get $sum)))
  (func $returns (export "returns") (param $frames i32) (param $rounds i32) (result i32) (local $sum i32)
    (block $handler (result i32)
      (loop $round
        (local.set $sum
          (i32.add (local.get $sum) (call $return (local.get $frames) (local.get $rounds))))
        (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))
      (local.get $sum))))
