//! Pipes that fill, and readers that do not come back.

use std::{
    io::Read,
    os::fd::AsFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::*;

fn interruptible(file: File) -> Writer {
    let mut writer = Writer::new(file).unwrap();
    writer.prepare();
    writer
}

/// What a reader finds who comes after the writer has given up is whole lines, and as
/// many as it was said.
#[test]
fn a_pipe_has_whole_lines() {
    // Lines of up to a few pages, and one longer than a pipe at its end.
    for longest in [700, 3000, 20_000] {
        let (mut reader, pipe) = io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(pipe));
        let mut writer = interruptible(file);
        assert!(matches!(writer.way, Way::Pipe { .. }));
        let quit = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
        let moved = AtomicU64::new(0);
        let mut lines = Vec::new();
        for i in 0..6000 {
            lines.resize(lines.len() + i * 7919 % longest, b'x');
            lines.push(b'\n');
        }
        let leash = Leash { moved: &moved, quit: quit.as_fd(), retries: &moved };
        let (whole, read) = std::thread::scope(|scope| {
            let writing = scope.spawn(|| writer.write(&lines, Some(&leash)));
            let mut read = vec![0; 300_000];
            for piece in read.chunks_mut(1234) {
                reader.read_exact(piece).unwrap();
            }
            // No more is read: the pipe fills.
            let mut before = u64::MAX;
            while before != moved.load(Ordering::Relaxed) {
                before = moved.load(Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(100));
            }
            rustix::io::write(&quit, &1u64.to_ne_bytes()).unwrap();
            let (whole, result) = writing.join().unwrap();
            assert!(matches!(result, Err(Halt::Quit)));
            (whole, read)
        });
        drop(writer);
        let mut all = read;
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), whole, "what is counted is what is there");
        assert!(all == lines[..whole] && all.ends_with(b"\n"), "whole lines");
        assert!(whole > 300_000, "the pipe took more than was read");
    }
}

#[test]
fn a_line_longer_than_a_pipe_goes_in_parts() {
    let (mut reader, pipe) = io::pipe().unwrap();
    let mut writer = interruptible(File::from(std::os::fd::OwnedFd::from(pipe)));
    let mut line = vec![b'x'; 3 * PIPE];
    line.push(b'\n');
    let read = std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(writer.write(&line, None), (whole, Ok(())) if whole == line.len()));
            drop(writer);
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        read
    });
    assert!(read == line);
}

#[test]
fn a_reader_that_is_gone() {
    let (reader, pipe) = io::pipe().unwrap();
    let mut writer = interruptible(File::from(std::os::fd::OwnedFd::from(pipe)));
    drop(reader);
    let (whole, result) = writer.write(b"line\n", None);
    assert_eq!(whole, 0);
    assert!(matches!(result, Err(Halt::Failed(e)) if e.kind() == io::ErrorKind::BrokenPipe));
}
