use tracer::{source::*, decode, record};
fn main() {
    env_logger::init();
    let t = std::time::Instant::now();
    let opts = Options { events: tracer_common::registry::EVENTS.iter().collect(), messages: std::env::var("M").ok().and_then(|m| m.parse().ok()).unwrap_or(64), buffer: 1<<20, filters: KernelFilters::default() };
    let mut live = Live::load(&opts).unwrap_or_else(|e| { eprintln!("{e}"); std::process::exit(3)});
    live.attach().unwrap();
    eprintln!("attached in {:?} typed {}", t.elapsed(), live.typed());
    let clock = decode::Clock::now();
    for _ in 0..50 { std::thread::sleep(std::time::Duration::from_millis(100));
    live.drain(|r| match record::parse(r) { Ok(r) => println!("{}", serde_json::to_string(&decode::decode(&r, &clock)).unwrap()), Err(e) => println!("{e}") }); }
    println!("{:?}", live.stats().unwrap());
}
