//! The server: what is at which address, from its start to its end.

use super::api::{self, Look};
use super::args::ServeArgs;
use super::connection::Connection;
use super::database::Database;
use super::dropped_images::Photos;
use super::guard::{guard, Hosts};
use super::images::Thumbnails;
use super::inspection::{inspect, Findings};
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

/// How long answers that are under way may take when the server is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);

const HTML: &str = "text/html; charset=utf-8";
const SVG: &str = "image/svg+xml";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Files of the page: address, media type, contents.
const FILES: [(&str, &str, &str); 9] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/explorer.css", CSS, include_str!("page/explorer.css")),
    ("/explorer.js", JS, include_str!("page/explorer.js")),
    ("/dom.js", JS, include_str!("page/dom.js")),
    ("/query_terms.js", JS, include_str!("page/query_terms.js")),
    ("/vocabulary.js", JS, include_str!("page/vocabulary.js")),
    ("/transition.js", JS, include_str!("page/transition.js")),
    ("/results.js", JS, include_str!("page/results.js")),
];

/// Serves the page until SIGINT or SIGTERM.
///
/// # Errors
/// Those of [`Connection::new`], [`inspect`] and [`ServeArgs::address`]; [`Kind::Io`] if the address cannot be had.
pub fn run(args: &ServeArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::new(Kind::Io, format!("could not start threads: {e}")))?;
    runtime.block_on(serve(args))
}

async fn serve(args: &ServeArgs) -> Result<()> {
    let (address, remote) = args.address()?;
    let connection =
        Connection::new(args.db.as_deref(), &|name| std::env::var(name).ok().filter(|v| !v.is_empty()))?;
    let database = Database::new(&connection, args.timeout)?;
    let findings = inspect(&database, args).await?;
    let taken = |e: std::io::Error| {
        Error::new(Kind::Io, format!("could not listen on {address}: {e}"))
            .hint("Choose another port with --listen, or 0.")
    };
    let listener = TcpListener::bind(address).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    greet(&connection, &findings, address, remote);

    let mut names = args.host_name.clone();
    names.push(args.listen_host().to_owned());
    let look = Look {
        database,
        findings,
        photos: Photos::default(),
        thumbnails: Thumbnails::default(),
        limit: args.limit,
        max_photo: (args.max_photo as usize) << 20,
    };
    let app = router(Arc::new(look), Hosts { names, any_address: remote });
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let signalled = signalled()?;
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        signalled.await;
        let _ = stop.send(());
    });
    let farewell = async {
        let _ = stopped.await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        served = async { server.await } => served.map_err(|e| Error::new(Kind::Io, format!("the server failed: {e}"))),
        () = farewell => Ok(()),
    }
}

fn greet(connection: &Connection, findings: &Findings, address: SocketAddr, remote: bool) {
    let Findings { table, version, model, notices, .. } = findings;
    println!("{} in {}", table.name, connection.describe());
    println!(
        "extension {version}, model \"{model}\", embeddings in {}, rows told apart by {}",
        table.emb.quoted, table.id.quoted
    );
    for notice in notices {
        println!("NOTICE:  {notice}");
    }
    if remote {
        println!("WARNING:  whoever reaches {address} sees {} without a password", table.name);
    }
    println!("look at http://{address}");
}

fn router(look: Arc<Look>, hosts: Hosts) -> Router {
    let mut router = Router::new()
        .route("/api/about", get(api::about))
        .route("/api/search", post(api::search))
        .route("/api/tags", get(api::tags))
        .route("/api/transition", post(api::transition))
        .route("/api/photo", post(api::photo))
        .route("/photo/{name}", get(api::kept_photo))
        .route("/image/{*id}", get(api::picture));
    for (address, media_type, contents) in FILES {
        router = router.route(address, file(media_type, contents));
    }
    router
        .fallback(api::nothing)
        .method_not_allowed_fallback(api::otherwise)
        .with_state(look)
        .layer(from_fn_with_state(Arc::new(hosts), guard))
}

fn file(media_type: &'static str, contents: &'static str) -> MethodRouter<Arc<Look>> {
    get(move || async move {
        ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], contents)
    })
}

/// Resolves when the program is told to stop.
fn signalled() -> Result<impl Future<Output = ()>> {
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
