//! Asynchronous calls and host functions, in every mode.

mod common;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::modes_with;
use vm_engine::{
    Caller, Engine, Error, Func, FuncType, Instance, Linker, Module, Result, Store, Trap, Val,
    ValType,
};

fn engines() -> Vec<Engine> {
    modes_with(|_| {})
}

/// Runs a future on a thread, with a clock.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap().block_on(future)
}

/// Polls a future until it is done; answers how often it was not.
fn polls<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    let mut pending = 0;
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return (output, pending),
            Poll::Pending => pending += 1,
        }
    }
}

/// Waits that often.
async fn wait(times: i32) {
    let mut left = times;
    poll_fn(|_| {
        left -= 1;
        if left < 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Has `host.wait` wait as often as it is asked, and answer twice the number.
fn linker(engine: &Engine) -> Linker<Vec<i32>> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap_async(
            "host",
            "wait",
            |mut caller: Caller<'_, Vec<i32>>, times: i32| {
                Box::new(async move {
                    wait(times).await;
                    caller.data_mut().push(times);
                    2 * times
                })
            },
        )
        .unwrap();
    linker
}

const SUM: &str = r#"(module
  (import "host" "wait" (func $wait (param i32) (result i32)))
  (func (export "sum") (param i32) (result i32) (local i32)
    (loop
      (local.set 1 (i32.add (local.get 1) (call $wait (local.get 0))))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1)))"#;

#[test]
fn a_guest_waits_for_its_host_functions() {
    for engine in engines() {
        let module = Module::new(&engine, SUM).unwrap();
        let mut store = Store::new(&engine, Vec::new());
        let run = async {
            let instance = linker(&engine)
                .instantiate_async(&mut store, &module)
                .await?;
            let sum = instance.get_typed_func::<i32, i32>(&mut store, "sum")?;
            let first = sum.call_async(&mut store, 4).await?;
            // With values of types that are not known before.
            let sum = instance.get_func(&mut store, "sum").unwrap();
            let mut results = [Val::I32(0)];
            sum.call_async(&mut store, &[Val::I32(3)], &mut results)
                .await?;
            Ok::<_, Error>((first, results[0].unwrap_i32()))
        };
        let (result, pending) = polls(run);
        assert_eq!(result.unwrap(), (20, 12), "{}", engine.strategy());
        assert_eq!(pending, 10 + 6);
        assert_eq!(store.data()[..], [4, 3, 2, 1, 3, 2, 1]);
    }
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    for engine in engines() {
        let module = Module::new(&engine, SUM).unwrap();
        let linker = Arc::new(linker(&engine));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let tasks: Vec<_> = (1..=50)
            .map(|n| {
                let (engine, module, linker) =
                    (engine.clone(), module.clone(), Arc::clone(&linker));
                runtime.spawn(assert_send(async move {
                    let mut store = Store::new(&engine, Vec::new());
                    let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
                    let sum = instance
                        .get_typed_func::<i32, i32>(&mut store, "sum")
                        .unwrap();
                    for _ in 0..5 {
                        tokio::task::yield_now().await;
                        // Wakes nobody by itself.
                        let mut call = pin!(sum.call_async(&mut store, n));
                        let sum = poll_fn(|context| {
                            context.waker().wake_by_ref();
                            call.as_mut().poll(context)
                        });
                        assert_eq!(sum.await.unwrap(), n * (n + 1));
                    }
                }))
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
    }
}

#[test]
fn a_start_function_waits_too() {
    let text = r#"(module
      (import "host" "wait" (func $wait (param i32) (result i32)))
      (start 1)
      (func (drop (call $wait (i32.const 5)))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let linker = linker(&engine);
        let mut store = Store::new(&engine, Vec::new());
        let (instance, pending) = polls(linker.instantiate_async(&mut store, &module));
        instance.unwrap();
        assert_eq!(pending, 5);
        // Where nobody can wait, it says so.
        let error = linker.instantiate(&mut store, &module).unwrap_err();
        assert!(error.to_string().contains("call_async"), "{error}");
    }
}

/// What happens in the middle of a host function: other calls in its store, of both kinds.
#[test]
fn host_functions_call_guests_while_their_guest_waits() {
    let text = r#"(module
      (import "host" "wait" (func $wait (param i32) (result i32)))
      (import "host" "nest" (func $nest (param i32) (result i32)))
      (import "host" "blocks" (func $blocks (param i32) (result i32)))
      (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
      (func (export "waits") (param i32) (result i32) (i32.add (call $wait (local.get 0)) (i32.const 1)))
      (func (export "nests") (param i32) (result i32) (i32.add (call $nest (local.get 0)) (i32.const 1000)))
      (func (export "fails") (param i32) (result i32) (call $blocks (local.get 0))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut linker = linker(&engine);
        linker
            .func_wrap_async(
                "host",
                "nest",
                |mut caller: Caller<'_, Vec<i32>>, n: i32| {
                    Box::new(async move {
                        let waits = caller.get_export("waits").unwrap().into_func().unwrap();
                        let twice = caller.get_export("twice").unwrap().into_func().unwrap();
                        let waits = waits.typed::<i32, i32>(&caller)?;
                        let twice = twice.typed::<i32, i32>(&caller)?;
                        let first = waits.call_async(&mut caller, n).await?;
                        let second = twice.call(&mut caller, first)?;
                        waits.call_async(&mut caller, second).await
                    })
                },
            )
            .unwrap();
        linker
            .func_wrap(
                "host",
                "blocks",
                |mut caller: Caller<'_, Vec<i32>>, n: i32| {
                    let waits = caller.get_export("waits").unwrap().into_func().unwrap();
                    waits.typed::<i32, i32>(&caller)?.call(&mut caller, n)
                },
            )
            .unwrap();
        let mut store = Store::new(&engine, Vec::new());
        let (instance, _) = polls(linker.instantiate_async(&mut store, &module));
        let instance = instance.unwrap();
        let nests = instance
            .get_typed_func::<i32, i32>(&mut store, "nests")
            .unwrap();
        let (result, pending) = polls(nests.call_async(&mut store, 3));
        // 3 -> 7 -> 14 -> 29.
        assert_eq!(
            (result.unwrap(), pending),
            (1029, 3 + 14),
            "{}",
            engine.strategy()
        );
        // A call that is not asynchronous is in between.
        let fails = instance
            .get_typed_func::<i32, i32>(&mut store, "fails")
            .unwrap();
        let (result, _) = polls(fails.call_async(&mut store, 3));
        let error = result.unwrap_err();
        assert!(
            error.to_string().contains("cannot wait for it here"),
            "{error}"
        );
        // As is the outermost.
        let error = nests.call(&mut store, 3).unwrap_err();
        assert!(error.to_string().contains("call_async"), "{error}");
    }
}

#[test]
fn errors_of_asynchronous_host_functions_have_the_guests_backtrace() {
    let text = r#"(module
      (import "host" "fail" (func $fail (param i32 i64) (result f64)))
      (func $inner (param i32) (result f64) (call $fail (local.get 0) (i64.const 2)))
      (func (export "f") (param i32) (result f64) (f64.neg (call $inner (local.get 0)))))"#;
    for engine in engines() {
        let module = Module::new(&engine, text).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        linker
            .func_new_async(
                "host",
                "fail",
                FuncType::new([ValType::I32, ValType::I64], [ValType::F64]),
                |_, params, results| {
                    Box::new(async move {
                        wait(2).await;
                        match params {
                            [Val::I32(0), Val::I64(2)] => results[0] = Val::from(1.5),
                            [Val::I32(1), _] => results[0] = Val::I32(1),
                            _ => return Err(Error::msg("that is too much")),
                        }
                        Ok(())
                    })
                },
            )
            .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let func = instance
            .get_typed_func::<i32, f64>(&mut store, "f")
            .unwrap();
        assert_eq!(polls(func.call_async(&mut store, 0)).0.unwrap(), -1.5);
        for (param, text) in [(1, "i32"), (2, "that is too much")] {
            let error = polls(func.call_async(&mut store, param)).0.unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            let frames = error.backtrace().map(|trace| trace.frames().len());
            assert_eq!(frames, Some(2), "{error} {}", engine.strategy());
        }
    }
}

#[test]
fn a_future_that_is_dropped_ends_its_call() {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for engine in engines() {
        let module = Module::new(&engine, SUM).unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut linker = Linker::<()>::new(&engine);
        let count = Arc::clone(&dropped);
        linker
            .func_wrap_async("host", "wait", move |_, times: i32| {
                let guard = Guard(Arc::clone(&count));
                Box::new(async move {
                    wait(times).await;
                    drop(guard);
                    times
                })
            })
            .unwrap();
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let sum = instance
            .get_typed_func::<i32, i32>(&mut store, "sum")
            .unwrap();
        for _ in 0..100 {
            let mut call = Box::pin(sum.call_async(&mut store, 1000));
            let mut context = Context::from_waker(Waker::noop());
            assert!(call.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 100);
        assert_eq!(polls(sum.call_async(&mut store, 3)).0.unwrap(), 6);
    }
}

#[test]
fn guests_let_others_run_by_fuel() {
    let text = r#"(module
      (memory 2)
      (func (export "count") (param i32) (result i32) (local i32)
        (loop
          (local.set 1 (i32.add (local.get 1) (i32.const 1)))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get 1))
      (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))))"#;
    let engines = modes_with(|config| {
        config.consume_fuel(true);
    });
    for engine in engines {
        let module = Module::new(&engine, text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let count = instance
            .get_typed_func::<i32, i32>(&mut store, "count")
            .unwrap();
        // Nine a turn, and one behind the loop.
        store.set_fuel(100_000).unwrap();
        store.fuel_async_yield_interval(Some(900)).unwrap();
        let (result, pending) = polls(count.call_async(&mut store, 1000));
        assert_eq!(result.unwrap(), 1000);
        assert_eq!(pending, 10, "{}", engine.strategy());
        assert_eq!(store.get_fuel().unwrap(), 100_000 - 9001);
        // Until there is none.
        store.set_fuel(4500).unwrap();
        let (result, pending) = polls(count.call_async(&mut store, 1000));
        assert_eq!(result.unwrap_err().trap(), Some(Trap::OutOfFuel));
        assert_eq!((pending, store.get_fuel().unwrap()), (4, 0));
        // Other calls use all of it at once.
        store.set_fuel(9001).unwrap();
        assert_eq!(count.call(&mut store, 1000).unwrap(), 1000);
        assert_eq!(store.get_fuel().unwrap(), 0);
        // What needs more than the interval gets it.
        let fill = instance
            .get_typed_func::<(), ()>(&mut store, "fill")
            .unwrap();
        store.set_fuel(1500).unwrap();
        let (result, pending) = polls(fill.call_async(&mut store, ()));
        result.unwrap();
        assert_eq!((pending, store.get_fuel().unwrap()), (1, 1500 - 4 - 1024));
        let error = store.fuel_async_yield_interval(Some(0)).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}

#[test]
fn guests_let_others_run_by_epochs() {
    let text = r#"(module
      (import "host" "tick" (func $tick))
      (func (export "count") (param i32) (result i32) (local i32 f64)
        (loop
          (call $tick)
          (local.set 1 (i32.add (local.get 1) (i32.const 1)))
          (local.set 2 (f64.add (local.get 2) (f64.const 1)))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (i32.add (local.get 1) (i32.trunc_f64_s (local.get 2)))))"#;
    let engines = modes_with(|config| {
        config.epoch_interruption(true);
    });
    for engine in engines {
        let module = Module::new(&engine, text).unwrap();
        let mut linker = Linker::<()>::new(&engine);
        let ticks = engine.clone();
        linker
            .func_wrap("host", "tick", move || ticks.increment_epoch())
            .unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(10);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let count = instance
            .get_typed_func::<i32, i32>(&mut store, "count")
            .unwrap();
        let (result, pending) = polls(count.call_async(&mut store, 100));
        // At the second turn's beginning, and at every tenth after it.
        assert_eq!(
            (result.unwrap(), pending),
            (200, 10),
            "{}",
            engine.strategy()
        );
        // Other calls go on at once.
        assert_eq!(count.call(&mut store, 100).unwrap(), 200);
    }
}

/// A host that gives its guests a time of its own by dropping their futures.
#[test]
fn a_guest_can_be_given_up_after_a_time() {
    for engine in modes_with(|config| {
        config.epoch_interruption(true);
    }) {
        let module =
            Module::new(&engine, "(module (func (export \"spin\") (loop (br 0))))").unwrap();
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let spin = instance
            .get_typed_func::<(), ()>(&mut store, "spin")
            .unwrap();
        let ticks = engine.clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let ticker = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(1)).is_err() {
                ticks.increment_epoch();
            }
        });
        let result: Result<Result<()>, _> = block_on(async {
            tokio::time::timeout(Duration::from_millis(20), spin.call_async(&mut store, ())).await
        });
        assert!(result.is_err(), "it has ended");
        stop.send(()).unwrap();
        ticker.join().unwrap();
    }
}

#[test]
fn asynchronous_host_functions_can_be_called_directly() {
    for engine in engines() {
        let mut store = Store::new(&engine, Vec::new());
        let wraps = Func::wrap_async(&mut store, |mut caller: Caller<'_, Vec<i32>>, n: i32| {
            Box::new(async move {
                wait(n).await;
                caller.data_mut().push(n);
                match n {
                    0..10 => Ok(2 * n),
                    _ => Err(Error::msg("that is too much")),
                }
            })
        });
        let func = wraps.typed::<i32, i32>(&store).unwrap();
        let (result, pending) = polls(func.call_async(&mut store, 4));
        assert_eq!((result.unwrap(), pending), (8, 4));
        let error = polls(func.call_async(&mut store, 11)).0.unwrap_err();
        assert!(error.to_string().contains("that is too much"), "{error}");
        let error = func.call(&mut store, 4).unwrap_err();
        assert!(error.to_string().contains("call_async"), "{error}");
        let plain = Func::wrap(&mut store, |n: i32| n + 1);
        let plain = plain.typed::<i32, i32>(&store).unwrap();
        assert_eq!(polls(plain.call_async(&mut store, 4)).0.unwrap(), 5);
        assert_eq!(store.data()[..], [4, 11]);
    }
}
