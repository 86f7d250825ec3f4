//! The HTTP server: its routes, its start and its shutdown.

use super::api::{self, AppState};
use super::args::ServeArgs;
use super::database::Database;
use super::dropped_images::DroppedImages;
use super::guard::{guard, AllowedHosts};
use super::images::Thumbnails;
use super::inspection::{inspect, Inspection};
use crate::connection::Connection;
use crate::error::{Error, Kind, Result};
use axum::http::header;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, MethodRouter};
use axum::Router;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};

/// How long requests in progress may take once the server is told to stop.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

const HTML: &str = "text/html; charset=utf-8";
const SVG: &str = "image/svg+xml";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// The page's static files, compiled into the program: address, media type, contents.
const FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/explorer.css", CSS, include_str!("page/explorer.css")),
    ("/explorer.js", JS, include_str!("page/explorer.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/query_terms.js", JS, include_str!("page/query_terms.js")),
    ("/vocabulary.js", JS, include_str!("page/vocabulary.js")),
    ("/word_search.js", JS, include_str!("page/word_search.js")),
    ("/transition.js", JS, include_str!("page/transition.js")),
    ("/results.js", JS, include_str!("page/results.js")),
    ("/tiles.js", JS, include_str!("page/tiles.js")),
];

/// Serves the page until SIGINT or SIGTERM.
///
/// # Errors
/// Those of `Connection::new`, `inspect` and [`ServeArgs::address`]; [`Kind::Io`] if the address cannot be bound.
pub fn run(args: &ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Io, format!("could not start threads: {e}")))?;
    runtime.block_on(serve(args))
}

async fn serve(args: &ServeArgs) -> Result<()> {
    let (address, remote) = args.address()?;
    let connection = Connection::from_environment(args.db.as_deref(), "coopembed serve")?;
    let database = Database::new(&connection, args.timeout)?;
    let inspection = inspect(&database, args).await?;
    let bind_error = |e: std::io::Error| {
        Error::new(Kind::Io, format!("could not listen on {address}: {e}"))
            .hint("Choose another port with --listen, or 0.")
    };
    let listener = TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    print_banner(&connection, &inspection, address, remote);

    let mut names = args.host_name.clone();
    names.push(args.listen_host().to_owned());
    let app = AppState {
        database,
        inspection,
        dropped_images: DroppedImages::default(),
        thumbnails: Thumbnails::default(),
        limit: args.limit,
        max_upload: (args.max_upload as usize) << 20,
    };
    let router = router(Arc::new(app), AllowedHosts { names, any_address: remote });
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let signal = stop_signal()?;
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        signal.await;
        let _ = stop.send(());
    });
    let grace = async {
        let _ = stopped.await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = async { server.await } => served.map_err(|e| Error::new(Kind::Io, format!("the server failed: {e}"))),
        () = grace => Ok(()),
    }
}

/// Tells the user what is served and where.
fn print_banner(connection: &Connection, inspection: &Inspection, address: SocketAddr, remote: bool) {
    let Inspection { table, version, model, notices, .. } = inspection;
    println!("table {} in {}", table.name, connection.describe());
    println!(
        "extension {version}, model \"{model}\", embedding column {}, id column {}",
        table.emb.quoted, table.id.quoted
    );
    for notice in notices {
        println!("NOTICE:  {notice}");
    }
    if remote {
        println!("WARNING:  anyone who can reach {address} can read {} without a password", table.name);
    }
    println!("listening on http://{address}");
}

fn router(app: Arc<AppState>, hosts: AllowedHosts) -> Router {
    let mut router = Router::new()
        .route("/api/about", get(api::about))
        .route("/api/search", post(api::search))
        .route("/api/description", get(api::description))
        .route("/api/tags", get(api::tags))
        .route("/api/transition", post(api::transition))
        .route("/api/dropped", post(api::keep_dropped_image))
        .route("/dropped/{key}", get(api::dropped_image))
        .route("/image/{*id}", get(api::row_image));
    for (address, media_type, contents) in FILES {
        router = router.route(address, static_file(media_type, contents));
    }
    router
        .fallback(api::not_found)
        .method_not_allowed_fallback(api::method_not_allowed)
        .with_state(app)
        .layer(from_fn_with_state(Arc::new(hosts), guard))
}

fn static_file(media_type: &'static str, contents: &'static str) -> MethodRouter<Arc<AppState>> {
    get(move || async move {
        ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], contents)
    })
}

/// Resolves on SIGINT or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let listen =
        |kind| signal(kind).map_err(|e| Error::new(Kind::Io, format!("could not wait for signals: {e}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
