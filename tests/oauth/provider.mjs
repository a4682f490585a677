// An authorisation server of others' making (oidc-provider) over TLS on loopback, as
// the file says that it is given: `node provider.mjs SETTINGS.json`. It says "ready" and
// its port when it listens; for each line of its input, a list of clients that it knows
// from then on in place of those before, it says "changed". It ends when its input does.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// The packages are where `cargo xtask setup` puts them, not beside this file.
const resolve = createRequire(settings.packages).resolve;
const { default: Provider } = await import(pathToFileURL(resolve('oidc-provider')));

let answer;
const server = https.createServer({
  key: settings.key,
  cert: settings.certificate,
  ca: settings.authority,
  requestCert: true,
  rejectUnauthorized: false,
}, (request, response) => answer(request, response));

// What it has given out is kept beside, and known to the next.
function start(issuer, clients) {
  const provider = new Provider(issuer, {
    clients,
    clientDefaults: {
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      id_token_signed_response_alg: 'ES256',
    },
    jwks: settings.jwks,
    scopes: ['orders.read', 'orders.write'],
    clientAuthMethods: [
      'client_secret_basic',
      'client_secret_post',
      'private_key_jwt',
      'tls_client_auth',
    ],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, expected) =>
          property === 'tls_client_auth_san_dns' &&
          ctx.socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`,
      },
    },
    ttl: { ClientCredentials: settings.lifetime },
  });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  provider.on('grant.error', (ctx, error) => console.error('grant.error', error.message, error.error_detail));
  answer = provider.callback();
}

server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address();
  const issuer = `https://localhost:${port}`;
  start(issuer, settings.clients);
  console.log(`ready ${port}`);
  for await (const line of createInterface({ input: process.stdin })) {
    start(issuer, JSON.parse(line));
    console.log('changed');
  }
  process.exit();
});
