;; What single operations cost. Every loop runs as often as its argument says and does the same work
;; besides the operation, so that differences are the operation's cost.
(module
  (import "host" "add" (func $host (param i32 i32) (result i32)))
  (type $unary (func (param i32) (result i32)))
  (memory 1)
  (table 4 4 funcref)
  (elem (i32.const 0) $one $two $three $four)

  (func $one (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func $two (param i32) (result i32) (i32.add (local.get 0) (i32.const 2)))
  (func $three (param i32) (result i32) (i32.add (local.get 0) (i32.const 3)))
  (func $four (param i32) (result i32) (i32.add (local.get 0) (i32.const 4)))

  (func (export "nothing") (param i32) (result i32) (local.get 0))

  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else
        (i32.add
          (call $fib (i32.sub (local.get 0) (i32.const 1)))
          (call $fib (i32.sub (local.get 0) (i32.const 2)))))))

  (func (export "loop") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (i32.and (local.get $n) (i32.const 3))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  (func (export "direct") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum
        (call $one (i32.add (local.get $sum) (i32.and (local.get $n) (i32.const 3)))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  (func (export "indirect") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum
        (call_indirect (type $unary) (local.get $sum) (i32.and (local.get $n) (i32.const 3))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  (func (export "host") (param $n i32) (result i32) (local $sum i32)
    (loop $again
      (local.set $sum (call $host (local.get $sum) (i32.and (local.get $n) (i32.const 3))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))

  (func (export "trap") (param i32) (result i32)
    (i32.load (i32.sub (i32.const -8) (local.get 0))))

  ;; Never returns.
  (func (export "spin") (param i32) (result i32)
    (loop (br 0))
    (unreachable)))
