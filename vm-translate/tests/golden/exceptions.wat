;; Clauses are in a table: the code is what it would be without them.
(module
  (import "host" "f" (func $f (param i32) (result i32)))
  (tag $a (param i32 f64))
  (tag $b)

  (func (export "throw") (param i32)
    (throw $a (i32.add (local.get 0) (i32.const 1)) (f64.const 2)))

  ;; What is below the label stays where it is, and the loop is the same behind the clause.
  (func (export "loop") (param $n i32) (result i32) (local $i i32) (local $s i32)
    (loop $l
      (block $caught
        (try_table (catch_all $caught)
          (local.set $s (i32.add (local.get $s) (call $f (local.get $i))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $s))

  ;; All clauses, of nested blocks, with values and references.
  (func (export "clauses") (param i32) (result i32 f64)
    (block $ref (result exnref)
      (block $values (result i32 f64 exnref)
        (try_table (catch_ref $a $values) (catch_all_ref $ref)
          (try_table (catch $b 0) (call $f (local.get 0)) (drop)))
        (return (i32.const 0) (f64.const 0)))
      (drop)
      (return))
    (throw_ref))

  ;; A value goes to where the local lives.
  (func (export "local") (param i32) (result i32) (local $x i32)
    (loop $l
      (local.set $x
        (block $v (result i32)
          (drop (block $w (result i32 f64) (try_table (catch $a $w) (drop (call $f (local.get $x)))) (br $v (i32.const 5))))
        ))
      (br_if $l (i32.lt_u (local.get $x) (local.get 0))))
    (local.get $x)))
