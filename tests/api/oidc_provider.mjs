// A real OpenID provider (npm oidc-provider, certified) for tests: node oidc_provider.mjs <node_modules> <port>
// Logs in whoever `login_hint` names, without a page; consents to everything. A client for each algorithm.
import crypto from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , modules, port] = process.argv;
const { default: Provider } = await import(pathToFileURL(path.join(modules, 'oidc-provider/lib/index.js')));

const key = (type, options, alg) => {
  const { privateKey } = crypto.generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
};
const algorithms = { rs: 'RS256', es: 'ES256', ed: 'EdDSA' };
const client = ([name, alg]) => ({
  client_id: `presswork ${name}`,
  client_secret: 'a secret: of & the client',
  redirect_uris: [`https://books.example/v1/auth/oidc/${name}/callback`],
  id_token_signed_response_alg: alg,
});
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: Object.entries(algorithms).map(client),
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }, 'RS256'),
      key('ec', { namedCurve: 'P-256' }, 'ES256'),
      key('ed25519', {}, 'EdDSA'),
    ],
  },
  enabledJWA: { idTokenSigningAlgValues: Object.values(algorithms) },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post'],
  pkce: { required: () => true, methods: ['S256'] },
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['a test'] },
  claims: { openid: ['sub'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, preferred_username: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

async function interact(req, res) {
  const { prompt, params, session } = await provider.interactionDetails(req, res);
  if (prompt.name === 'login') {
    return provider.interactionFinished(req, res, { login: { accountId: params.login_hint ?? 'jo' } });
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid profile');
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(req, res, { consent }, { mergeWithLastSubmission: true });
}

const answer = provider.callback();
const server = http.createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) return answer(req, res);
  interact(req, res).catch((error) => res.writeHead(500).end(String(error)));
});
server.listen(Number(port), '127.0.0.1');
