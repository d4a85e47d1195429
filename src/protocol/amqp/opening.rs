//! Opening: from the protocol header to the virtual host that a connection enters.

use super::frame::Outlet;
use super::handshake::{self, Capabilities, PROTOCOL_HEADER};
use super::heartbeat::Heartbeat;
use super::method::{ConnectionOpenOk, ConnectionStartOk, ConnectionUpdateSecret, ConnectionUpdateSecretOk};
use super::reply::{Refusal, ReplyCode};
use super::sasl::{self, Credentials};
use super::{Connection, Context, Login, Opened, Phase};
use crate::access::{Limited, Permissions};
use crate::table::Table;

impl Connection {
    pub(super) fn greet(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        let Some(header) = input.first_chunk::<8>() else { return 0 };
        if *header == PROTOCOL_HEADER {
            self.phase = Phase::Starting;
            let Self { peer, output, agreement, .. } = self;
            let mut outlet = Outlet { out: output.end(), channel: 0, frame_max: agreement.frame_max };
            handshake::start(sasl::mechanisms(peer), |start| outlet.send(start));
        } else {
            self.output.end().extend_from_slice(&PROTOCOL_HEADER);
            self.end(context);
        }
        PROTOCOL_HEADER.len()
    }

    pub(super) fn log_in(&mut self, start_ok: ConnectionStartOk<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        let client_properties = Table::decode(start_ok.client_properties)?;
        self.capabilities = Capabilities::of(&client_properties);
        let (mechanism, credentials) = sasl::credentials(start_ok.mechanism, start_ok.response, &self.peer)?;
        let access = &mut *context.access;
        let user = match credentials {
            Credentials::Password { user, password } => access.log_in(&user, &password, self.peer.loopback),
            Credentials::Certificate(name) => access.log_in_by_certificate(&name),
        };
        if let Some(user) = user {
            self.login = Login { user, mechanism, client_properties };
            self.phase = Phase::Tuning;
            let tune = self.agreement.tune();
            self.outlet(0).send(&tune);
        } else if self.capabilities.authentication_failure_close {
            // Clients recognise this one by the zeros in place of the method.
            let text = format_args!(
                "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
            );
            self.refuse(0, &Refusal::new(ReplyCode::AccessRefused, text), context);
        } else {
            self.end(context);
        }
        Ok(())
    }

    pub(super) fn enter(&mut self, virtual_host: &str, context: &mut Context<'_>) -> Result<(), Refusal> {
        let user = &*self.login.user;
        if context.virtual_hosts.named(virtual_host).is_none() {
            return Err(Refusal::new(ReplyCode::NotAllowed, format_args!("vhost {virtual_host} not found")));
        }
        check_connection_limits(user, virtual_host, context)?;
        if !context.access.may_enter(user, virtual_host) {
            let text = format_args!("access to vhost '{virtual_host}' refused for user '{user}'");
            return Err(Refusal::new(ReplyCode::NotAllowed, text));
        }
        let bytes = self.login.client_properties.memory_bytes();
        let host = context.virtual_hosts.named(virtual_host);
        host.map_or(Ok(()), |host| host.broker().check_room(bytes))
            .map_err(|error| Refusal::new(ReplyCode::ResourceError, error))?;
        let permissions = Permissions::new(context.access, user, virtual_host);
        self.opened = context
            .virtual_hosts
            .enter(virtual_host, self.id, user)
            .map(|membership| Opened { membership, permissions });
        if let Some(Opened { membership, .. }) = self.opened {
            context.virtual_hosts.broker_of(membership).count_for(membership.connection, bytes);
        }
        self.heartbeat = Heartbeat::new(self.agreement.heartbeat_s, context.now_ms);
        self.phase = Phase::Open;
        self.outlet(0).send(&ConnectionOpenOk);
        Ok(())
    }

    pub(super) fn update_secret(
        &mut self,
        update: ConnectionUpdateSecret<'_>,
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        let secret = String::from_utf8_lossy(update.new_secret);
        if !context.access.update_secret(&self.login.user, &secret) {
            return Err(Refusal::new(ReplyCode::NotAllowed, "New secret was refused by one of the backends"));
        }
        self.outlet(0).send(&ConnectionUpdateSecretOk);
        Ok(())
    }
}

fn check_connection_limits(user: &str, virtual_host: &str, context: &mut Context<'_>) -> Result<(), Refusal> {
    let host = context.virtual_hosts.named(virtual_host);
    if let Some(limit) = host.filter(|host| host.is_full()).and_then(|host| host.connections_max) {
        let text = format_args!(
            "access to vhost '{virtual_host}' refused for user '{user}': connection limit ({limit}) is reached"
        );
        return Err(Refusal::new(ReplyCode::NotAllowed, text));
    }
    match context.limit_reached(user, Limited::Connections) {
        Some(limit) => {
            let text = format_args!("connection refused for user '{user}': user connection limit ({limit}) is reached");
            Err(Refusal::new(ReplyCode::NotAllowed, text))
        }
        None => Ok(()),
    }
}
