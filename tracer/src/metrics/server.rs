//! The listener of `--metrics`: plain HTTP/1.1 by a thread of its own, which takes few
//! connections and lets none of them last.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net, runtime, sync::Semaphore, time};

use super::Board;

/// Connections at once; more wait.
const CONNECTIONS: usize = 64;
/// How long a request may take to come.
const HEAD: Duration = Duration::from_secs(2);
/// How long a connection may last.
const WHOLE: Duration = Duration::from_secs(5);

/// A listener that nobody answers at yet.
pub struct Server(TcpListener);

impl Server {
    /// Binds an address.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of getsockname(2).
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers from now on, by a thread of its own.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(self, board: Board) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = move || {
            if let Err(error) = runtime.block_on(serve(self.0, board)) {
                log::error!("metrics: {error}");
            }
        };
        thread::Builder::new().name("tracer-metrics".to_owned()).spawn(serve)?;
        Ok(())
    }
}

async fn serve(listener: TcpListener, board: Board) -> io::Result<()> {
    let listener = net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Of one connection, or for want of descriptors.
                log::debug!("metrics: {error}");
                time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let board = board.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&board, &request);
                async { Ok::<_, Infallible>(response) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD).keep_alive(false);
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A client that breaks off, or takes too long, is its own affair.
            let _ = time::timeout(WHOLE, connection).await;
            drop(place);
        });
    }
}

fn answer(board: &Board, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    let health = |ill: Option<String>| match ill {
        None => (StatusCode::OK, PLAIN, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{why}\n")),
    };
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, prometheus::TEXT_FORMAT, board.text())
        }
        (&Method::GET | &Method::HEAD, "/healthz") => health(board.ill()),
        (&Method::GET | &Method::HEAD, "/readyz") => health(board.unready()),
        (&Method::GET | &Method::HEAD, _) => {
            let text = "there are /metrics, /healthz and /readyz\n".to_owned();
            (StatusCode::NOT_FOUND, PLAIN, text)
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET or HEAD\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
