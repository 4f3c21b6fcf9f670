//! A `wasi:http` component: answers each request with what it was asked, and misbehaves when told.
//!
//! ```text
//! GET  /            hello from wasm
//! POST /echo        the body
//! GET  /env/NAME    an environment variable
//! GET  /spin        never answers
//! GET  /trap        traps
//! ```

use wstd::http::{Body, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().to_owned();
    let answer = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", ""] => Body::from("hello from wasm\n"),
        ["", "echo"] => request.into_body(),
        ["", "env", name] => Body::from(std::env::var(name).unwrap_or_default()),
        ["", "spin"] => loop {
            std::hint::spin_loop();
        },
        ["", "trap"] => std::process::abort(),
        _ => {
            let missing = Response::builder().status(StatusCode::NOT_FOUND);
            return Ok(missing.body(Body::from("not found\n"))?);
        }
    };
    Ok(Response::new(answer))
}
