// An OpenID provider of others' making (oidc-provider) on loopback, whose keys can be
// replaced: `node provider.mjs PACKAGES`. It says "ready PORT", then answers a line for
// each line: "token" with an access token that it issues, "rotate" once it signs with a
// new key and publishes no other, "asked" with how often its keys were asked for. It ends
// when its input does.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// The packages are where `cargo xtask setup` puts them, not beside this file.
const resolve = createRequire(process.argv[2]).resolve;
const { default: Provider } = await import(pathToFileURL(resolve('oidc-provider')));

const client = { client_id: 'orders-app', client_secret: 'not-a-secret-but-long-enough-0123' };
const audience = 'urn:orders';
let asked = 0;
let answer;

const server = http.createServer((request, response) => {
  if (request.url === '/jwks') asked += 1;
  answer(request, response);
});

function start(issuer) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
  const provider = new Provider(issuer, {
    clients: [{
      ...client,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    }],
    jwks: { keys: [jwk] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope: 'read',
          audience,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    ttl: { ClientCredentials: 300 },
  });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  answer = provider.callback();
}

server.listen(0, '127.0.0.1', async () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  start(issuer);
  console.log(`ready ${server.address().port}`);
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'rotate') {
      start(issuer);
      console.log('rotated');
    } else if (line === 'asked') {
      console.log(asked);
    } else {
      const { client_id: id, client_secret: secret } = client;
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'read', resource: audience }),
      });
      const body = await response.json();
      if (!body.access_token) console.error(body);
      console.log(body.access_token ?? 'none');
    }
  }
  process.exit();
});
