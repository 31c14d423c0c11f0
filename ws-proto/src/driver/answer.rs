//! Answers to a request (RFC 6455 section 4.2.2).

use std::{borrow::Cow, boxed::Box, format, string::String, vec::Vec};

use crate::{
    handshake::WriteError,
    server::{Reject, Subprotocol, reject_to},
};

/// An answer to a request for a connection.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(super) verdict: Verdict,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Accepts, with this subprotocol if any.
    Accept(Option<Box<str>>),
    Refuse(Refusal),
}

/// An answer that opens no connection.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// From 300 to 599.
    pub(super) status: u16,
    /// The content type and the body. `None`: the body is the status in words.
    body: Option<(&'static str, Cow<'static, [u8]>)>,
}

impl Refusal {
    pub(super) const fn new(status: u16) -> Self {
        Self { status, body: None }
    }

    /// Appends the response to a request. `received` is the request as far as it has come.
    pub(super) fn write_to(
        &self,
        headers: &[(String, String)],
        received: &[u8],
        response: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let headers = borrowed(headers);
        let mut reject = Reject::new(self.status).headers(&headers);
        if let Some((content_type, body)) = &self.body {
            reject = reject.body(content_type, body);
        }
        reject_to(&reject, received, response)
    }
}

/// A page for a request that does not ask for a connection.
///
/// It is sent with `X-Content-Type-Options: nosniff`, so that browsers do not guess another content type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    status: &'static str,
    content_type: &'static str,
    headers: Vec<(String, String)>,
    pub(super) body: Cow<'static, [u8]>,
}

impl Page {
    /// Creates an HTML page in UTF-8.
    pub fn html(body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new("text/html; charset=utf-8", body)
    }

    /// Creates a page of any content type.
    pub fn new(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status: "200 OK", content_type, headers: Vec::new(), body: body.into() }
    }

    /// Creates the page for an unknown path (404).
    #[must_use]
    pub fn not_found() -> Self {
        Self { status: "404 Not Found", ..Self::new("text/plain", b"Not Found".as_slice()) }
    }

    /// Adds a header field, such as Content-Security-Policy. Fields that describe the connection or the body make
    /// [`ReceivedRequest::page`](super::ReceivedRequest::page) fail.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the head of the response.
    pub(super) fn head(&self) -> Result<Vec<u8>, WriteError> {
        // A page may have the same fields as a refusal, which checks them.
        Refusal::new(404).write_to(&self.headers, b"", &mut Vec::new())?;
        let mut head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
    }
}

impl Answer {
    /// Creates an answer that accepts the connection.
    #[must_use]
    pub const fn accept() -> Self {
        Self { verdict: Verdict::Accept(None), headers: Vec::new() }
    }

    /// Creates an answer that refuses the connection, with a status from 300 to 599 such as 401, 403, 404, 503 or that
    /// of a redirect. The body is the status in words, unless [`body`](Self::body) sets another.
    #[must_use]
    pub const fn refuse(status: u16) -> Self {
        Self { verdict: Verdict::Refuse(Refusal::new(status)), headers: Vec::new() }
    }

    /// Sets the body of a refusal and its type. An acceptance ignores it, since it has none.
    #[must_use]
    pub fn body(mut self, content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        if let Verdict::Refuse(refusal) = &mut self.verdict {
            refusal.body = Some((content_type, body.into()));
        }
        self
    }

    /// Sets the subprotocol, which [`Request::select`](crate::server::Request::select) or
    /// [`ReceivedRequest::select`](super::ReceivedRequest::select) has found. A refusal ignores it.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Option<Subprotocol<'_>>) -> Self {
        if let Verdict::Accept(chosen) = &mut self.verdict {
            *chosen = subprotocol.map(|subprotocol| subprotocol.as_str().into());
        }
        self
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Borrows header fields in the form that `ws-proto` takes.
pub(super) fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
