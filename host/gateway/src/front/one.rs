//! One request that comes over no connection: of somebody who runs the gateway's parts
//! and no listener.

use std::net::IpAddr;

use http::{Request, Version};
use keyward::egress::Body;
use keyward::names::ExchangeId;
use keyward::{Client, Forwarded, Report, is_grpc};

use super::may;
use super::screen::{fits, screen};
use super::sender::Sender;
use crate::forward::find;
use crate::serve::Gateway;

impl Gateway {
    /// Takes one request through the pipeline of its path, as if the client at this
    /// address had sent it in plain: what is refused before a policy sees it, policies,
    /// grants, backends and audit trail are those of any exchange. The id is the one that the trail has. It is neither logged nor
    /// counted.
    ///
    /// Before it, [`Gateway::refresher`] has to be started for secrets that come from
    /// sources. Must run inside a tokio runtime with I/O and time. Cancel-safe, as
    /// [`keyward::forward`].
    pub async fn exchange(
        &self,
        client: IpAddr,
        id: ExchangeId,
        mut request: Request<Body>,
    ) -> Forwarded {
        let snapshot = self.snapshot();
        *request.version_mut() = Version::HTTP_11;
        let front = &snapshot.front;
        let screened = screen(&mut request, None, front.reading);
        Sender::plain(client).tell(&mut request, front.forwarded);
        let found = find(&snapshot.pipelines, &request);
        let pipeline = found.ok().map(|(pipeline, _)| pipeline);
        let most = pipeline
            .and_then(|pipeline| pipeline.max_body_bytes)
            .or(front.limits.max_body_bytes);
        let placed = screened.and_then(|authority| {
            fits(&request, most)?;
            let (pipeline, _) = found?;
            may(pipeline, request.method())?;
            Ok((pipeline, Client::new(client, authority)))
        });
        match placed {
            Ok((pipeline, client)) => {
                keyward::forward(&snapshot.keyward, &pipeline.runs, client, id, request).await
            }
            Err(failure) => Forwarded {
                response: failure.reply_to(is_grpc(request.headers()), id),
                failure: Some(failure),
                report: Report::default(),
            },
        }
    }
}
