//! A `wasi:http` component of WASI 0.3: answers each request with a greeting, or with its body, piece by piece.
//!
//! ```text
//! GET  /            hello from wasm
//! POST /echo        the body
//! GET  /trap        traps
//! ```

use wasip3::exports::http::handler::Guest;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{spawn_local, wit_future, wit_stream};

/// Bytes of a body that are read at once.
const CHUNK_BYTES: usize = 4096;

struct Web;

impl Guest for Web {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let path = request.get_path_with_query().unwrap_or_default();
        let (mut writer, contents) = wit_stream::new();
        let (trailers, no_trailers) = wit_future::new(|| Ok(None));
        drop(trailers);
        match path.as_str() {
            "/echo" => {
                let (_, done) = wit_future::new(|| Ok(()));
                let (mut body, _) = Request::consume_body(request, done);
                spawn_local(async move {
                    loop {
                        let (result, chunk) = body.read(Vec::with_capacity(CHUNK_BYTES)).await;
                        if !matches!(result, StreamResult::Complete(_)) {
                            return;
                        }
                        writer.write_all(chunk).await;
                    }
                });
            }
            "/trap" => std::process::abort(),
            _ => spawn_local(async move {
                writer.write_all(b"hello from wasm\n".to_vec()).await;
            }),
        }
        let (response, _) = Response::new(Fields::new(), Some(contents), no_trailers);
        Ok(response)
    }
}

wasip3::http::service::export!(Web);
