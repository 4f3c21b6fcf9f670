//! Lists of a whole collection and in pages, read to their end and thrown away.

use std::time::Duration;

use anyhow::Result;
use base::clock::Instant;

use super::figure::Figure;
use crate::connection::{Call, Connection, JSON};
use crate::objects::Kind;
use crate::peer::Peer;
use crate::samples::Samples;

/// Lists of each sort.
const ROUNDS: usize = 10;

/// Objects of one page: what client-go asks for by default.
const PAGE: usize = 500;

/// What each message in protobuf begins with.
const PROTOBUF_MAGIC: &[u8] = b"k8s\0";

/// In which form a list is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Json,
    Protobuf,
}

impl Form {
    fn accept(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Json => "",
            Self::Protobuf => ", protobuf",
        }
    }
}

/// The name of the row of a whole list.
pub(super) fn what(kind: Kind, count: usize, form: Form) -> String {
    format!("{}: list of {count}{}", kind.plural, form.suffix())
}

/// Lists everything at once.
pub(super) async fn whole(peer: &Peer, kind: Kind, count: usize, form: Form) -> Figure {
    let what = what(kind, count, form);
    Figure::measured(what.clone(), list_whole(peer, kind, form, &what)).await
}

async fn list_whole(peer: &Peer, kind: Kind, form: Form, what: &str) -> Result<Figure> {
    let mut connection = Connection::open(peer.server()).await?;
    let call = || Call { accept: form.accept(), ..Call::get(kind.path) };
    let mut drained = connection.drain(call()).await?;
    let (before, mut times) = (peer.cpu()?, Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        let sent = Instant::now();
        drained = connection.drain(call()).await?;
        times.push(sent.elapsed());
    }
    let spent = (peer.cpu()? - before) / u32::try_from(ROUNDS)?;
    let is_asked_form = form == Form::Json || drained.head.starts_with(PROTOBUF_MAGIC);
    let form = if is_asked_form { "" } else { "; answered as JSON" };
    let note = format!("{:.1} MB, {spent:.1?} of server CPU each{form}", drained.bytes as f64 / 1e6);
    Ok(Figure::new(what).times(&Samples::new(times)).note(note))
}

/// Lists everything page by page.
pub(super) async fn pages(peer: &Peer, kind: Kind, count: usize, form: Form) -> Figure {
    let what = format!("{}: list of {count} in pages of {PAGE}{}", kind.plural, form.suffix());
    Figure::measured(what.clone(), list_pages(peer, kind, form, &what)).await
}

async fn list_pages(peer: &Peer, kind: Kind, form: Form, what: &str) -> Result<Figure> {
    let mut connection = Connection::open(peer.server()).await?;
    let (before, mut all, mut each) = (peer.cpu()?, Vec::new(), Vec::new());
    for _ in 0..ROUNDS / 2 {
        let (mut token, mut all_pages) = (String::new(), Duration::ZERO);
        loop {
            let next = if token.is_empty() { String::new() } else { format!("&continue={token}") };
            let path = format!("{}?limit={PAGE}{next}", kind.path);
            let sent = Instant::now();
            let page = connection.call(Call { accept: form.accept(), ..Call::get(&path) }).await?;
            let time = sent.elapsed();
            all_pages += time;
            each.push(time);
            match continuation(&page) {
                Some(next) => token = next,
                None => break,
            }
        }
        all.push(all_pages);
    }
    let spent = (peer.cpu()? - before) / u32::try_from(ROUNDS / 2)?;
    let note = format!("each page {}; {spent:.1?} of server CPU for all", Samples::new(each));
    Ok(Figure::new(what).times(&Samples::new(all)).note(note))
}

/// The token of a page that others follow, in JSON; the rest of the page is not looked at.
fn continuation(page: &[u8]) -> Option<String> {
    let page = std::str::from_utf8(page).ok()?;
    let (_, rest) = page.split_once("\"continue\":\"")?;
    let (token, _) = rest.split_once('"')?;
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_a_page_is_found() {
        let check = |page: &str, expected: Option<&str>| {
            assert_eq!(continuation(page.as_bytes()), expected.map(str::to_owned));
        };
        check(r#"{"items":[],"metadata":{"continue":"abc","resourceVersion":"1"}}"#, Some("abc"));
        check(r#"{"metadata":{"continue":""}}"#, None);
        check(r#"{"metadata":{"resourceVersion":"1"}}"#, None);
    }
}
