"""Random meshes over the whole policy language, and random requests to them; all of it follows from a seed.

Every object passes Istio's admission. Values come from small pools of names that nearly coincide, and half of the requests are
built to satisfy a rule and then, mostly, bent in one field: verdicts turn on exactly such differences.
  random_mesh.py SEED [REQUESTS]    prints a mesh and its cases
"""
import json, os, random, re, sys

import yaml

import meshcase, tokens

Dumper = getattr(yaml, 'CSafeDumper', yaml.SafeDumper)
GW = 'istio-system/istio-ingressgateway'
HTTP, GRPC, RAW, AUTO, FREE = 8080, 7070, 9000, 6060, 5555     # container ports; no Service has FREE
# issuer: [(kid, algorithm, name of the key)]
ISSUERS = {
    'https://a.idp.test': [('key-a', 'RS256', 'k1')],
    'https://a.idp.test/': [('key-c', 'EdDSA', 'k1')],
    'b@idp.test': [('key-b', 'ES256', 'k1'), ('key-b2', 'RS512', 'k2')],
    'c.idp': [('key-d', 'PS384', 'k2'), ('key-e', 'ES512', 'k1')],
    'd': [('key-h', 'HS256', 'k1'), ('key-p', 'PS256', 'k1')],
    'e/f': [('key-g', 'ES384', 'k1'), ('key-i', 'HS512', 'k2')],
}
PATHS = ['/', '/admin', '/admin/', '/admin/x', '/api', '/api/', '/api/v1', '/api/v1/items', '/api/v1/items/7', '/API/v1', '/a/b/c', '/files/',
         '/files/x', '/x/y/edit', '/edit', '/health', '/a.json', '/ab', '/a*b', '/a=b', '/x.y/z', '/a;b', '/a%2Fb', '/xadmin', '/a~b', '//api',
         '/a%20b', '/a+b']
PATH_PATTERNS = ['/', '*', '/admin', '/admin*', '/admin/*', '*admin', '/admin/x', '/api', '/api*', '/api/*', '/api/v1', '/api/v1/*',
                 '/api/v1/items/7', '/API/*', '*.json', '*/edit', '/a/b/c', '/a*b', '*a*', '/a;b', '/a%2Fb', '/a%2fb', '//api', '/a/', '*/',
                 '/health', 'admin', '/a b', '/a%20b', '/é', '**', '/x?y']
TEMPLATES = ['/{*}', '/{**}', '/api/{*}', '/api/{**}', '/api/{*}/items', '/api/{*}/items/{*}', '/api/v1/items/{*}', '/{**}/edit', '/files/{*}',
             '/a.b/{*}', '/{*}/{*}', '/{*}/admin', '/a=b/{**}', '/api/v1/{**}', '/%61/{*}', '/{*}/y/{**}', '/a+b/{*}']
SEGMENTS = ['v1', 'a', 'x.y', '7', 'a=b', '%2F', '*', 'items', 'a;b', '..a', 'a"b', "a'b", '%zz', 'x~']
METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH']
METHOD_PATTERNS = METHODS + ['P*', '*T', '*', 'get', 'FOO', 'G*', '*E']
HOSTS = ['a.example.com', 'A.Example.COM', 'a.example.com:8080', 'a.example.com:80', 'b.c.example.com', 'example.com', 'evil-example.com', 'x',
         'front', 'front.shop', 'front.shop.svc.cluster.local', 'front.shop.svc.cluster.local:80', 'FRONT.shop', 'front.a', 'vault.pay', '10.0.0.1',
         '[::1]:8080', 'a.example.com.', 'localhost:8080', 'xa.example.com']
HOST_PATTERNS = ['a.example.com', 'A.EXAMPLE.com', '*.example.com', '*example.com', 'a.example.com:*', 'a.example.com:8080', '*:8080', 'a.*', 'front.*',
                 'front.shop.svc.cluster.local', 'front.shop.svc.cluster.local:80', '*', 'x', '*.com', '*.', '[::1]:8080']
HEADERS = ['x-role', 'X-Team', 'x-env', 'x-api-key', 'user-agent', 'accept', 'accept-language', 'cookie', 'origin', 'referer', 'authorization',
           'content-type', 'x-forwarded-for', 'x-forwarded-proto', 'x-real-ip', 'cache-control', 'via', 'x-claim-role', 'x-payload', 'x-token',
           'x-envoy-original-path', 'x-envoy-internal', 'x-forwarded-host', 'x-under_score', 'forwarded', 'x-request-id', 'x-ext-authz']
PSEUDO = ['host', ':path', ':method', ':authority', 'x-forwarded-client-cert']
VALUES = ['admin', 'Admin', 'user', 'admin,user', 'user,admin', 'a,b', 'a', 'b', 'pay', 'shop', 'min', 'xmin', 'prod', 'prod-1', 'dev', '7', '', 'adm*n', '*',
          'curl', 'curl/8', 'text/html', 'application/json', 'a=b; c=d', 'https', '10.0.0.5', 'é', 'u-1', 'true']
VALUE_PATTERNS = ['admin', 'user', '*min', 'adm*', 'a,b', 'a', '*', 'shop', 'pay', 'prod*', 'dev', '7', '*user', 'admin,*', 'curl*', 'text/*', '*json', 'a=b*',
                  'https', 'é', '**', 'adm*n', 'true', '*,*', 'ey*', 'Bearer *']
CLAIMS = ['[role]', '[groups]', '[scope]', '[permission]', '[nested][k]', '[nested][k][deep]', '[sub]', '[iss]', '[my.dotted]', '[num]', '[flag]', '[aud]',
          '[a b]', '[none]', '[tid]']
TDS = ['cluster.local', 'old-td', 'td.one', 'td.two', 'evil.local']
IDS = ['shop/front', 'shop/cart', 'pay/vault', 'shop-eu/front', 'legacy/old', 'istio-system/istio-ingressgateway', 'shop/frontx', 'pay/front']
PRINCIPALS = ['*', 'cluster.local/ns/shop/*', 'cluster.*', '*front', '*/sa/front', '*/ns/shop/sa/front', '*local/ns/shop/sa/cart', 'nope', 'td*/ns/shop/sa/front',
              'spiffe://cluster.local/ns/shop/sa/front', 'cluster.local/ns/shop', 'old-td/ns/shop/*', '*-td/ns/pay/sa/vault', 'cluster.local/ns/shop/sa/*',
              '*/sa/f*']
NAMESPACES = ['shop', 'pay', 'shop-eu', 'legacy', 'istio-system', 'sho*', '*-eu', 's*p', '*', 'shop*', '*ho*']
SAS = ['front', 'cart', 'shop/front', 'pay/vault', 'shop-eu/front', 'istio-system/istio-ingressgateway', 'fron']
TRUST = ['cluster.local', 'old-td', 'td.one', 'td.*', '*.local', '*', '*-td', 'cluster*']
BLOCKS = ['10.0.0.5', '10.0.0.0/24', '10.0.0.0/16', '10.0.0.0/8', '10.1.0.5/8', '172.16.0.0/12', '192.168.0.7/31', '198.51.100.1/32', '203.0.113.0/24',
          '0.0.0.0/0', '::/0', '2001:db8::/32', '2001:db8::5', 'fd00::/8', '10.244.0.0/16', '128.0.0.0/1']
IPS = ['10.0.0.5', '10.0.0.6', '10.0.1.5', '10.1.0.5', '172.16.0.1', '192.168.0.6', '192.168.0.7', '198.51.100.1', '203.0.113.9', '10.244.3.4', '11.0.0.5']
IPS6 = ['2001:db8::5', '2001:db9::5', 'fd00::7']
SNIS = ['outbound_.80_._.front.shop.svc.cluster.local', 'outbound_.80_.v1_._.front.shop.svc.cluster.local', 'a.example.com', 'A.Example.com', 'x']
SNI_PATTERNS = ['outbound_.*', '*.svc.cluster.local', '*', 'a.example.com', '*.example.com', 'outbound_.80_._.front.shop.svc.cluster.local', 'A.*', '*a*']
REQ_PRINCIPALS = ['*', '*/*', 'b@idp.test/*', 'https://a.idp.test/*', 'https://a.idp.test/u-1', '*min', '*/admin', 'b@idp*', 'b@idp.test/ad*', 'd/u-1',
                  'e/f/u-1', 'https://a.idp.test//u-1', 'c.idp', '*x/u-1']
SUBS = ['u-1', 'admin', 'xmin', 'ad', 'a/b', '*', '']
AUDS = ['web', 'api', 'api.internal', 'https://web/', 'http://web', 'other']
FAR, LONG_AGO = 4102444800, 1500000000


class Mesh:
    """docs: objects; files: {name of a token file: text}; cases; targets: workloads that cases address."""

    def __init__(self, seed, requests=200):
        self.seed, self.r = str(seed), random.Random('mesh ' + str(seed))
        self.files, self.cases, self._by_text = {}, [], {}
        self.docs = self._infrastructure() + self._authentication() + self._authorization()
        self.view = meshcase.Mesh(self.docs)
        self.targets = [w for w, v in self.view.workloads.items() if v['mode'] != 'none' and w in self.ports]
        for i in range(requests):
            self.cases.append(self._case('r%d' % i))

    def yaml(self):
        return dump(self.docs)

    # -- small tools ---------------------------------------------------------------------------------------
    def p(self, chance):
        return self.r.random() < chance

    def some(self, pool, lo=1, hi=3):
        n = min(self.r.randint(lo, hi), len(pool))
        return self.r.sample(pool, n)

    def pick(self, pool):
        return pool[int(self.r.random() * len(pool))]

    # -- the mesh ------------------------------------------------------------------------------------------
    def _infrastructure(self):
        r, out = self.r, []
        self.td = r.choice(['cluster.local', 'cluster.local', 'old-td', 'td.one'])
        mesh = {'trustDomain': self.td, 'rootNamespace': 'istio-system', 'extensionProviders': []}
        aliases = [a for a in self.some(['old-td', 'td.two', 'cluster.local'], 0, 2) if a != self.td]
        if aliases:
            mesh['trustDomainAliases'] = aliases
        for name in ('authz-http', 'authz'):
            h = {'service': 'authz.pay.svc.cluster.local', 'port': 8000, 'includeRequestHeadersInCheck': ['x-ext-authz', 'authorization', 'x-*']}
            if self.p(.3):
                h.update(r.choice([{'failOpen': True}, {'statusOnError': '503'}, {'timeout': '5s'}, {'pathPrefix': '/check'},
                                   {'includeAdditionalHeadersInCheck': {'x-extra': 'yes'}}, {'headersToUpstreamOnAllow': ['x-role']}]))
            mesh['extensionProviders'].append({'name': name, 'envoyExtAuthzHttp': h})
        g = {'service': 'pay/authz.pay.svc.cluster.local' if self.p(.2) else 'authz.pay.svc.cluster.local', 'port': 9000}
        if self.p(.3):
            g.update(r.choice([{'failOpen': True}, {'statusOnError': '401'}, {'timeout': '5s'}]))
        mesh['extensionProviders'].append({'name': 'authz-grpc', 'envoyExtAuthzGrpc': g})
        if self.p(.75):
            mesh['pathNormalization'] = {'normalization': r.choice(['NONE', 'DEFAULT', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES',
                                                                    'DECODE_AND_MERGE_SLASHES'])}
        if self.p(.4):
            mesh['defaultConfig'] = {'gatewayTopology': {'numTrustedProxies': r.choice([0, 1, 2])}}
        if self.p(.15):
            mesh['enableAutoMtls'] = True
        for ns, labels in (('shop', {'istio-injection': 'enabled'}), ('pay', {'istio-injection': 'enabled'}),
                           ('shop-eu', {'istio-injection': 'enabled'}), ('legacy', None), ('istio-system', None)):
            out.append(obj('v1', 'Namespace', ns, labels=labels))
        out.append(dict(obj('v1', 'ConfigMap', 'istio', 'istio-system'), data={'mesh': yaml.dump(mesh, Dumper=Dumper, sort_keys=False)}))
        self.ports = {}
        apps = ['shop/front', 'shop/cart', 'pay/vault', 'shop-eu/front']
        r.shuffle(apps)
        for a in apps[:r.choice([1, 2, 2, 3])]:
            self.ports[a] = [HTTP, GRPC, RAW, AUTO, FREE]
            out += self._app(a)
        for a in apps:
            if a not in self.ports:
                out += workload(a, [('http', HTTP)]) + [service(a, [{'name': 'http', 'port': 80, 'targetPort': HTTP}])]
        out += workload('legacy/old', [('http', HTTP)])
        out += workload('pay/authz', [('http', 8000), ('grpc', 9000)], {'sidecar.istio.io/inject': 'false'})
        out.append(service('pay/authz', [{'name': 'http', 'port': 8000}, {'name': 'grpc', 'port': 9000}]))
        out += workload(GW, [('http2', HTTP)], {'istio': 'ingressgateway', 'sidecar.istio.io/inject': 'true'}, {'inject.istio.io/templates': 'gateway'})
        out.append(service(GW, [{'name': 'http2', 'port': 80, 'targetPort': HTTP}]))
        self.ports[GW] = [HTTP]
        return out + self._edge()

    def _app(self, a):
        r = self.r
        ports = [('http', HTTP), ('raw', RAW), ('grpc', GRPC), ('auto', AUTO), ('extra', FREE)]
        http = {'name': r.choice(['http', 'http-web', 'http2', 'http-x']), 'port': 80, 'targetPort': r.choice([HTTP, 'http'])}
        if self.p(.15):
            http = {'name': 'web', 'port': 80, 'targetPort': HTTP, 'appProtocol': r.choice(['http', 'kubernetes.io/h2c', 'HTTP2'])}
        auto = {'port': AUTO, 'targetPort': AUTO, 'name': r.choice(['auto', 'plain', 'x-http'])}
        ps = [http, {'name': r.choice(['tcp-raw', 'tcp', 'tls-x']), 'port': 9000, 'targetPort': RAW},
              {'name': r.choice(['grpc', 'grpc-web', 'grpc-x']), 'port': 7070, 'targetPort': GRPC}, auto]
        return workload(a, ports) + [service(a, ps)]

    def _edge(self):
        r = self.r
        server = {'port': {'number': 80, 'name': 'http', 'protocol': r.choice(['HTTP', 'HTTP', 'HTTP2'])}, 'hosts': ['*']}
        out = [dict(obj('networking.istio.io/v1', 'Gateway', 'edge', 'istio-system'), spec={'selector': {'istio': 'ingressgateway'}, 'servers': [server]})]
        to = lambda ns='shop': [{'destination': {'host': 'front.%s.svc.cluster.local' % ns, 'port': {'number': 80}}}]
        if self.p(.55):
            hosts, http = ['*'], [{'route': to()}]
        else:
            hosts, http = r.choice([['*'], ['a.example.com', '*.example.com'], ['front.shop.svc.cluster.local', 'example.com']]), []
            for u in self.some([{'exact': '/admin'}, {'prefix': '/api'}, {'prefix': '/api/'}, {'prefix': '/a'}, {'regex': '/(admin|api).*'}, {'exact': '/'}], 1, 2):
                m = {'uri': u}
                if self.p(.25):
                    m.update(r.choice([{'method': {'exact': 'GET'}}, {'headers': {'x-role': {'exact': 'admin'}}}]))
                http.append({'match': [m], 'route': to()})
            if self.p(.5):
                http.append({'route': to('shop-eu')})
        out.append(dict(obj('networking.istio.io/v1', 'VirtualService', 'front', 'shop'),
                        spec={'hosts': hosts, 'gateways': ['istio-system/edge'], 'http': http}))
        return out

    # -- policies ------------------------------------------------------------------------------------------
    def _where(self, gateway=True):
        """(namespace, selector or None)"""
        r = self.r
        if self.p(.45):
            w = r.choice(list(self.ports))
            ns, app = w.split('/')
            if not gateway and w == GW:
                ns, app = 'shop', 'front'
            if self.p(.15):
                ns = 'istio-system'
            sel = {'matchLabels': r.choice([{'app': app}, {'app': app}, {'app': app, 'version': 'v1'}, {'version': 'v1'}])}
        else:
            ns = r.choice([w.split('/')[0] for w in self.ports] + ['istio-system'])
            sel = r.choice([None, None, None, {}, {'matchLabels': {'app': 'nobody'}} if self.p(.1) else None])
        return ns, sel

    def _meta(self, kind, name, ns, i, version='v1', annotations=None):
        d = obj('security.istio.io/' + version, kind, name, ns, annotations=annotations)
        d['metadata']['creationTimestamp'] = '2026-01-%02dT00:00:00Z' % (self.r.randint(1, 4) if self.p(.3) else i + 1)
        return d

    def _authentication(self):
        r, out = self.r, []
        modes = ['STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET']
        for i in range(r.choice([0, 1, 1, 2, 3])):
            ns, sel = self._where(False)
            spec = {}
            if sel is not None:
                spec['selector'] = sel
            if self.p(.85):
                spec['mtls'] = {'mode': r.choice(modes + ['PERMISSIVE', 'STRICT'])} if self.p(.9) else {}
            if sel and sel.get('matchLabels') and self.p(.6):
                spec['portLevelMtls'] = {p: {'mode': r.choice(modes)} for p in self.some([HTTP, GRPC, RAW, AUTO, FREE, 4444])}
            out.append(dict(self._meta('PeerAuthentication', 'pa-%d' % i, ns, i, r.choice(['v1', 'v1beta1'])), spec=spec))
        self.ras = []
        for i in range(r.choice([0, 1, 1, 1, 2, 3])):
            ns, sel = self._where()
            spec = {} if sel is None else {'selector': sel}
            spec['jwtRules'] = [self._jwt_rule() for _ in range(r.choice([1, 1, 2, 3]))]
            d = dict(self._meta('RequestAuthentication', 'ra-%d' % i, ns, i), spec=spec)
            self.ras.append(d)
            out.append(d)
        return out

    def _jwt_rule(self):
        r = self.r
        iss = r.choice(list(ISSUERS) + ['https://a.idp.test', 'b@idp.test'])
        keys = [tokens.jwk(alg, name, kid if self.p(.8) else None, self.p(.8)) for kid, alg, name in ISSUERS[iss]]
        if self.p(.15):
            kid, alg, name = r.choice(ISSUERS[r.choice(list(ISSUERS))])
            keys.insert(0, tokens.jwk(alg, name, r.choice([kid, None, keys[0].get('kid')])))
        if self.p(.1):
            keys.insert(r.randint(0, len(keys)), r.choice([{'kty': 'XX', 'kid': 'x'}, {'kty': 'RSA', 'n': 'AQAB'}, {'kid': 'y'}]))
        if self.p(.1):
            keys[0]['use'] = 'enc'
        if self.p(.003):
            keys = [{'kty': 'XX'}]                      # parses, but holds no key: Envoy refuses the listener
        rule = {'issuer': iss, 'jwks': json.dumps({'keys': keys})}
        if self.p(.3):
            rule['audiences'] = self.some(AUDS, 1, 2)
        if self.p(.4):
            rule['forwardOriginalToken'] = self.p(.8)
        if self.p(.25):
            rule['fromHeaders'] = [r.choice([{'name': 'x-jwt'}, {'name': 'x-jwt', 'prefix': 'Token '}, {'name': 'authorization', 'prefix': 'Bearer '},
                                             {'name': 'Authorization', 'prefix': 'Token '}, {'name': 'x-token', 'prefix': 'Bearer'}])
                                   for _ in range(r.choice([1, 1, 2]))]
        if self.p(.15):
            rule['fromParams'] = self.some(['token', 'access_token', 'jwt'], 1, 2)
        if self.p(.15):
            rule['fromCookies'] = self.some(['session', 'tok'], 1, 2)
        if self.p(.12):
            rule['outputPayloadToHeader'] = r.choice(['x-payload', 'X-Payload', 'x-role'])
        if self.p(.15):
            rule['outputClaimToHeaders'] = [{'header': h, 'claim': c} for h, c in self.some(
                [('x-claim-role', 'role'), ('x-role', 'role'), ('x-team', 'sub'), ('x-claim-num', 'num'), ('x-env', 'nested.k')], 1, 2)]
        if self.p(.2):
            rule['spaceDelimitedClaims'] = self.some(['groups', 'role', 'nested'], 1, 2)
        if self.p(.1):
            rule['timeout'] = '2s'
        return rule

    def _authorization(self):
        r, out = self.r, []
        self.aps = []
        custom = r.choice(['authz-http', 'authz-grpc', 'authz-grpc', 'authz', 'missing'])
        for i in range(r.choice([1, 2, 2, 3, 3, 4, 5])):
            ns, sel = self._where()
            action = r.choice(['ALLOW'] * 7 + ['DENY'] * 8 + ['AUDIT'] * 2 + ['CUSTOM'] * 5)
            spec, notes = {}, {}
            if sel is not None:
                spec['selector'] = sel
            elif self.p(.03):
                spec['targetRefs'] = [{'group': 'gateway.networking.k8s.io', 'kind': 'Gateway', 'name': 'edge'}]
            if action != 'ALLOW' or self.p(.5):
                spec['action'] = action
            if action == 'CUSTOM':
                spec['provider'] = {'name': custom if self.p(.9) else r.choice(['authz-http', 'authz-grpc', 'missing'])}
            if action in ('ALLOW', 'DENY') and self.p(.12):
                notes = {'istio.io/dry-run': r.choice(['true', 'true', 'T', '1', 'false', '0'])}
            if action == 'ALLOW' and self.p(.06):
                if self.p(.5):
                    spec['rules'] = []
            elif self.p(.05):
                spec['rules'] = [{}]
            elif self.p(.03):                           # rule[10] is tried before rule[2]
                spec['rules'] = [{'to': [{'operation': {'paths': [self.pick(PATH_PATTERNS)], 'methods': [self.pick(METHOD_PATTERNS)]}}]} for _ in range(12)]
            else:
                spec['rules'] = [self._rule(action) for _ in range(r.choice([1, 1, 2, 2, 3]))]
            d = dict(self._meta('AuthorizationPolicy', 'ap-%d' % i, ns, i, r.choice(['v1', 'v1', 'v1beta1']), notes or None), spec=spec)
            self.aps.append(d)
            out.append(d)
        return out

    def _rule(self, action):
        r, rule = self.r, {}
        kinds = r.choice([('to',), ('to',), ('to', 'when'), ('from',), ('from', 'to'), ('from', 'to', 'when'), ('when',), ('from', 'when')])
        if 'from' in kinds:
            rule['from'] = [{'source': self._source(action)} for _ in range(r.choice([1, 1, 2]))]
        if 'to' in kinds:
            rule['to'] = [{'operation': self._operation()} for _ in range(r.choice([1, 1, 2]))]
        if 'when' in kinds:
            rule['when'] = [self._when(action) for _ in range(r.choice([1, 1, 2]))]
        return rule

    def _principals(self):
        return ['%s/ns/%s/sa/%s' % ((self.pick(TDS),) + tuple(self.pick(IDS).split('/'))) if self.p(.6) else self.pick(PRINCIPALS)
                for _ in range(self.r.choice([1, 1, 2]))]

    def _source(self, action):
        pools = {'ipBlocks': BLOCKS, 'remoteIpBlocks': BLOCKS}
        names = ['ipBlocks', 'remoteIpBlocks']
        if action != 'CUSTOM':
            pools.update(namespaces=NAMESPACES, serviceAccounts=SAS, trustDomains=TRUST, requestPrincipals=REQ_PRINCIPALS, principals=None)
            names += ['principals', 'principals', 'namespaces', 'serviceAccounts', 'trustDomains', 'requestPrincipals', 'requestPrincipals']
        s = {}
        for n in {self.pick(names): 1 for _ in range(self.r.choice([1, 1, 2]))}:
            if n == 'serviceAccounts' and {'principals', 'namespaces', 'notPrincipals', 'notNamespaces'} & set(s):
                continue
            if n in ('principals', 'namespaces') and {'serviceAccounts', 'notServiceAccounts'} & set(s):
                continue
            self._field(s, n, pools[n], self._principals if n == 'principals' else None)
        return s

    def _field(self, d, name, pool, make=None):
        """A field, its negation, or both."""
        make = make or (lambda: self.some(pool, 1, self.pick([1, 2, 3])))
        k = self.r.random()
        if k < .72 or k > .9:
            d[name] = make()
        if k >= .72:
            d['not' + name[0].upper() + name[1:]] = make()

    def _operation(self):
        op = {}
        for n in {self.pick(['paths', 'paths', 'paths', 'methods', 'methods', 'hosts', 'hosts', 'ports']): 1 for _ in range(self.r.choice([1, 1, 2, 2, 3]))}:
            if n == 'paths':
                self._field(op, n, None, lambda: [self.pick(TEMPLATES if self.p(.3) else PATH_PATTERNS) for _ in range(self.r.choice([1, 1, 2, 3]))])
            else:
                self._field(op, n, {'methods': METHOD_PATTERNS, 'hosts': HOST_PATTERNS, 'ports': ['8080', '8080', '9000', '7070', '6060', '5555', '80', '443', '0']}[n])
        return op

    def _when(self, action):
        r = self.r
        keys = ['header'] * 4 + ['source.ip', 'remote.ip', 'destination.ip', 'destination.port', 'connection.sni']
        if action != 'CUSTOM':
            keys += ['claim'] * 4 + ['source.namespace', 'source.principal', 'source.trustDomain', 'source.serviceAccount', 'request.auth.principal',
                                     'request.auth.audiences', 'request.auth.presenter', 'meta']
        k = self.pick(keys)
        pool = {'source.ip': BLOCKS, 'remote.ip': BLOCKS, 'destination.ip': ['10.244.0.0/16', '10.0.0.1', '0.0.0.0/0', '::/0', '10.0.0.0/8', 'fd00::/8'],
                'destination.port': ['8080', '9000', '7070', '6060', '5555', '80'], 'connection.sni': SNI_PATTERNS, 'source.namespace': NAMESPACES,
                'source.trustDomain': TRUST, 'source.serviceAccount': SAS, 'request.auth.principal': REQ_PRINCIPALS,
                'request.auth.audiences': AUDS + ['*', 'ap*', '*web'], 'request.auth.presenter': ['client-1', 'client*', '*', 'x'], 'claim': VALUE_PATTERNS + ['u-*', 'u-1', 'read'],
                'meta': ['[x]', 'x'], 'header': VALUE_PATTERNS}.get(k)
        make = self._principals if k == 'source.principal' else None
        if k == 'header':
            h = self.pick(PSEUDO) if self.p(.08) else self.pick(HEADERS[:5] if self.p(.5) else HEADERS)
            k = 'request.headers[%s]' % h
            if h in ('x-request-id', 'x-forwarded-client-cert'):
                pool = ['*']                            # Envoy makes the value
            elif h == ':method':
                pool = METHOD_PATTERNS
            elif h == ':path':
                pool = PATH_PATTERNS
            elif h in ('host', ':authority'):
                pool = HOST_PATTERNS
        elif k == 'claim':
            c = self.pick(CLAIMS)
            k = 'request.auth.claims' + c
            if c == '[sub]':
                pool = ['u-1', 'u-*', 'admin', '*min', '*']
            elif c == '[iss]':
                pool = list(ISSUERS) + ['*']
            elif c == '[aud]':
                pool = AUDS
        elif k == 'meta':
            k = 'experimental.envoy.filters.network.mysql_proxy[db.table]'
        w = {'key': k}
        self._field(w, 'values', pool, make)
        if 'notValues' not in w and 'values' not in w:
            w['values'] = ['*']
        return w

    # -- requests ------------------------------------------------------------------------------------------
    def _selected(self, doc):
        """Addressed workloads that a policy reaches."""
        ns, spec = doc['metadata']['namespace'], doc.get('spec') or {}
        want = (spec.get('selector') or {}).get('matchLabels') or {}
        return [w for w in self.targets if (ns == 'istio-system' or w.split('/')[0] == ns) and not spec.get('targetRefs') and
                all(self.view.workloads[w]['labels'].get(k) == v for k, v in want.items())]

    def _case(self, name):
        q = self._plain()
        if self.aps and self.p(.5):
            d = self.pick(self.aps)
            ws, rules = self._selected(d), d['spec'].get('rules') or []
            if ws and rules:
                self._aim(q, self.pick(ws), self.pick(rules), d['metadata']['namespace'])
                if self.p(.6):
                    self._bend(q)
        return self._write(name, q)

    def _plain(self):
        r = self.r
        w = self.pick(self.targets)
        q = {'to': w, 'port': None, 'method': self.pick(METHODS) if self.p(.97) else self.pick(['FOO', 'get', 'TRACE']), 'path': self.pick(PATHS),
             'query': '', 'host': self.pick(HOSTS), 'headers': {}, 'jwts': [], 'ext_authz': self.pick(['allow', 'deny']), 'sni': None,
             'to_ip': '10.244.1.2' if self.p(.6) else None, 'ip': self.pick(IPS), 'workload': None, 'identity': None, 'proto': None}
        if self.p(.35):
            q['path'] = self._bend_path(q['path'])
        for _ in range(r.choice([0, 0, 1, 1, 2])):
            self._set_header(q, self.pick(HEADERS[:5] if self.p(.5) else HEADERS))
        if self.p(.2):
            q['headers']['x-forwarded-for'] = [self._xff() for _ in range(r.choice([1, 1, 1, 2]))]
        k = r.random()
        if k < .4:
            q['tls'] = 'plaintext'
        elif k < .65:
            q['workload'] = self.pick([x for x in self.view.workloads if x not in ('legacy/old', 'pay/authz')])
            q['tls'] = self.pick(['auto', 'mtls', 'mtls', 'plaintext'])
            if self.p(.2):
                q['ip'] = None
        elif k < .7:
            q['workload'], q['tls'] = 'legacy/old', self.pick(['plaintext', 'auto'])
        else:
            q['tls'] = 'mtls'
            q['identity'] = self._identity()
        if self.p(.06):
            q['ip'], q['to_ip'] = self.pick(IPS6), self.pick(['fd00::1:2', '2001:db8::1:2'])
        if self.p(.04) and q['tls'] == 'mtls':
            q['sni'] = self.pick(SNIS)
        if self.ras and self.p(.45) or self.p(.05):
            for _ in range(r.choice([1, 1, 1, 2])):
                self._add_token(q, self._some_token(q['to']))
        if q['ext_authz'] and self.p(.1):
            q['ext_authz'] = {'authz-http': 'allow', 'authz-grpc': 'deny', 'authz': 'allow'} if self.p(.5) else {'authz-http': 'deny', 'authz-grpc': 'allow', 'authz': 'deny'}
        if self.p(.02):
            q['method'] = 'OPTIONS'
            q['headers'].update({'origin': ['https://a'], 'access-control-request-method': ['GET']})
        return q

    def _identity(self):
        td = self.td if self.p(.6) else self.pick(TDS)
        return 'spiffe://%s/ns/%s/sa/%s' % ((td,) + tuple(self.pick(IDS).split('/')))

    def _set_header(self, q, name, values=None):
        for k in [k for k in q['headers'] if k.lower() == name.lower()]:
            del q['headers'][k]
        if name in PSEUDO:
            return
        q['headers'][name] = values or [self.pick(VALUES) for _ in range(self.pick([1, 1, 1, 1, 2]))]

    def _xff(self):
        return ', '.join(self.pick(IPS + IPS6 + ['x', '10.0.0.5:80', '[2001:db8::5]', '010.0.0.5', '', ' 10.0.0.5 ']) if self.p(.4) else self.pick(IPS)
                         for _ in range(self.pick([1, 1, 2, 3]))).strip()

    def _fill(self, pattern, pool=('x', '1', 'a', 'admin', '/x', '.b')):
        """A string that the pattern (star at an end) matches, usually."""
        if pattern == '*':
            return self.pick(pool)
        if pattern.startswith('*'):
            return self.pick(['', 'x', 'a.b', '/a']) + pattern[1:]
        if pattern.endswith('*'):
            return pattern[:-1] + self.pick(['', 'x', '1', '/x', '.b'])
        return pattern

    def _fill_path(self, p):
        if '{' in p:
            p = p.replace('{**}', self.pick(['', 'x', 'a/b', 'v1/items/7', self.pick(SEGMENTS)]))
            while '{*}' in p:
                p = p.replace('{*}', self.pick(SEGMENTS), 1)
            return p
        return self._fill(p, PATHS)

    def _fill_method(self, p):
        known = [m for m in METHODS if p in (m, '*') or p.endswith('*') and m.startswith(p[:-1]) or p.startswith('*') and m.endswith(p[1:])]
        return self.pick(known) if known else p

    def _fill_ip(self, block):
        a = block.split('/')[0]
        if ':' in block:
            return {'::': '2001:db8::9', 'fd00::': 'fd00::8'}.get(a, '2001:db8::5')
        if block.startswith('192.168'):
            return self.pick(['192.168.0.6', '192.168.0.7', '192.168.0.8'])
        n = [x for x in IPS if x.startswith(a.split('.')[0] + '.')]
        return a if '/' not in block or a.endswith('.1') else self.pick(n or IPS)

    def _aim(self, q, w, rule, policy_ns):
        """Makes the request satisfy the rule, as far as that is simple."""
        q['to'] = w
        for op in [self.pick(rule['to'])['operation']] if rule.get('to') else []:
            ports = [int(x) for x in op.get('ports', []) if int(x) in self.ports[w]]
            if ports:
                q['port'] = self.pick(ports)
            if op.get('paths'):
                q['path'] = self._fill_path(self.pick(op['paths']))
            if op.get('methods'):
                q['method'] = self._fill_method(self.pick(op['methods']))
            if op.get('hosts'):
                h = self._fill(self.pick(op['hosts']), HOSTS)
                q['host'] = h if re.fullmatch(r'[A-Za-z0-9.:\[\]-]+', h) else 'x'
        src = dict(self.pick(rule['from'])['source']) if rule.get('from') else {}
        for c in rule.get('when') or []:
            v = c.get('values')
            if not v:
                continue
            k, x = c['key'], self.pick(v)
            if k.startswith('request.headers['):
                h = k[16:-1]
                if h == ':method':
                    q['method'] = self._fill_method(x)
                elif h == ':path':
                    q['path'] = self._fill(x, PATHS)
                elif h in ('host', ':authority'):
                    q['host'] = 'a.example.com'
                elif h not in PSEUDO:
                    vals = [self._fill(x, VALUES)]
                    if self.p(.15):
                        vals.insert(self.r.randint(0, 1), self.pick(VALUES))
                    self._set_header(q, self.pick([h, h, h.lower(), h.upper()]) if '_' not in h else h, vals)
            elif k.startswith('request.auth.claims'):
                src.setdefault('claims', []).append((re.findall(r'\[([^\]]*)\]', k), x))
            elif k == 'destination.ip':
                q['to_ip'] = '10.0.0.1' if x == '10.0.0.1' else '10.244.1.2'
            elif k == 'destination.port':
                if int(x) in self.ports[w]:
                    q['port'] = int(x)
            elif k == 'connection.sni':
                if self.p(.5):
                    q['sni'] = self.pick(SNIS)
            else:
                f = {'source.ip': 'ipBlocks', 'remote.ip': 'remoteIpBlocks', 'source.namespace': 'namespaces', 'source.principal': 'principals',
                     'source.trustDomain': 'trustDomains', 'source.serviceAccount': 'serviceAccounts', 'request.auth.principal': 'requestPrincipals',
                     'request.auth.audiences': 'aud', 'request.auth.presenter': 'azp'}.get(k)
                if f:
                    src[f] = v
        if src.get('ipBlocks'):
            q['ip'] = self._fill_ip(self.pick(src['ipBlocks']))
            q['to_ip'] = 'fd00::1:2' if ':' in q['ip'] else (q['to_ip'] if ':' not in (q['to_ip'] or '') else None)
        if src.get('remoteIpBlocks'):
            ip = self._fill_ip(self.pick(src['remoteIpBlocks']))
            if self.p(.3):
                q['ip'] = ip
                q['to_ip'] = 'fd00::1:2' if ':' in ip else None
                q['headers'].pop('x-forwarded-for', None)
            else:
                q['headers']['x-forwarded-for'] = [', '.join(self.some(IPS, 0, 1) + [ip] + (self.some(IPS, 0, 1) if w == GW else []))]
        peer = [k for k in ('principals', 'namespaces', 'serviceAccounts', 'trustDomains') if src.get(k)]
        if peer:
            self._aim_peer(q, src, policy_ns)
        if src.get('requestPrincipals') or src.get('claims') or src.get('aud') or src.get('azp'):
            self._aim_token(q, w, src)

    def _aim_peer(self, q, src, policy_ns):
        td, ns, sa = self.td, 'shop', 'front'
        if src.get('trustDomains'):
            td = {'td.*': 'td.one', '*.local': 'cluster.local', '*-td': 'old-td', 'cluster*': 'cluster.local', '*': td}.get(*[self.pick(src['trustDomains'])] * 2)
        if src.get('namespaces'):
            ns = {'sho*': 'shop', '*-eu': 'shop-eu', 's*p': 'shop', '*': 'pay', 'shop*': 'shop-eu', '*ho*': 'shop'}.get(*[self.pick(src['namespaces'])] * 2)
            sa = self.pick(['front', 'cart', 'vault'])
        if src.get('serviceAccounts'):
            x = self.pick(src['serviceAccounts'])
            ns, sa = x.split('/') if '/' in x else (policy_ns, x)
        ident = 'spiffe://%s/ns/%s/sa/%s' % (td, ns, sa)
        if src.get('principals'):
            x = self.pick(src['principals'])
            x = x.replace('spiffe://', '').replace('td*/', 'td.two/')
            m = re.fullmatch(r'([^/*]+)/ns/([^/*]+)/sa/([^/*]+)', x)
            if m:
                ident = 'spiffe://' + (x if self.p(.6) else '%s/ns/%s/sa/%s' % (self.td, m[2], m[3]))
            elif x != 'nope' and '*' in x:
                ident = 'spiffe://%s/ns/%s/sa/%s' % (self.td, 'pay' if 'pay' in x else 'shop', 'cart' if 'cart' in x else 'front')
        q.update(identity=ident, workload=None, tls='mtls', ip=q['ip'] or self.pick(IPS))

    def _jwt_rules(self, w):
        return [r for d in self.ras if w in self._selected(d) for r in d['spec']['jwtRules']]

    def _aim_token(self, q, w, src):
        rules = self._jwt_rules(w)
        if not rules:
            return
        rule = self.pick(rules)
        iss, sub, claims = rule['issuer'], 'u-1', {}
        if src.get('requestPrincipals'):
            x = self.pick(src['requestPrincipals'])
            i, _, s = x.rpartition('/') if '/' in x else (('*', '', x) if x.startswith('*') else (x, '', '*'))
            same = [r for r in rules if r['issuer'] == i or i.startswith('*') or i.endswith('*') and r['issuer'].startswith(i[:-1])]
            if same:
                rule = self.pick(same)
                iss = rule['issuer']
            sub = self._fill(s, SUBS)
        for path, v in src.get('claims', []):
            val = self._fill(v, VALUES)
            if path == ['sub']:
                sub = val
                continue
            if path == ['iss'] or not path:
                continue
            if self.p(.35):
                val = [val] + self.some(VALUES, 0, 2) if self.p(.8) else [[val]]
            elif self.p(.1):
                val = self.pick([7, True, None, {'x': val}, val + ' other'])
            d = claims
            for k in path[:-1]:
                d = d[k] = d[k] if isinstance(d.get(k), dict) else {}
            d[path[-1]] = val
        if src.get('aud'):
            claims['aud'] = self._fill(self.pick(src['aud']), AUDS)
            claims['aud'] = [claims['aud'], 'other'] if self.p(.4) else claims['aud']
        if src.get('azp'):
            claims['azp'] = self._fill(self.pick(src['azp']))
        if rule.get('audiences'):
            a = claims.get('aud', [])
            claims['aud'] = (a if isinstance(a, list) else [a]) + [self.pick(rule['audiences'])]
        if isinstance(claims.get('aud'), list) and not all(isinstance(x, str) for x in claims['aud']):
            claims['aud'] = 'web'
        q['jwts'] = [] if self.p(.9) else q['jwts']
        self._add_token(q, self._token(iss, dict({'iss': iss, 'sub': sub, 'exp': FAR}, **claims)), rule)

    def _token(self, iss, payload, kid=None, alg=None, name=None, header=None):
        k, a, n = self.pick(ISSUERS[iss])
        a, n = alg or a, name or n
        h = {'alg': a, 'typ': 'JWT'}
        if kid or self.p(.85):
            h['kid'] = kid or k
        h.update(header or {})
        return self._file(tokens.token(a, n, h, payload))

    def _file(self, text):
        """Name of the token file with this text."""
        if text not in self._by_text:
            self._by_text[text] = 't%d.jwt' % len(self.files)
            self.files[self._by_text[text]] = text
        return self._by_text[text]

    def _some_token(self, w):
        if len(self.files) > 40 and self.p(.8):
            return self.pick(list(self.files))
        known = [x['issuer'] for x in self._jwt_rules(w)] or [x['issuer'] for d in self.ras for x in d['spec']['jwtRules']]
        iss = self.pick(known) if known and self.p(.92) else self.pick(list(ISSUERS))
        c = {'iss': iss, 'sub': self.pick(SUBS[:4] if self.p(.8) else SUBS), 'exp': FAR}
        auds = [a for d in self.ras for x in d['spec']['jwtRules'] for a in x.get('audiences', [])]
        if self.p(.5):
            c['aud'] = self.pick(auds or AUDS) if self.p(.6) else self.some(AUDS, 0, 3)
        for k, v in self.some([('role', self.pick(VALUES)), ('groups', self.some(VALUES, 0, 3)), ('groups', 'shop pay'), ('scope', 'read write admin'), ('permission', ['read', 'a b']),
                               ('nested', {'k': self.pick(VALUES)}), ('nested', {'k': {'deep': self.some(VALUES, 1, 2)}}), ('my.dotted', 'admin'), ('num', 7), ('flag', True),
                               ('azp', 'client-1'), ('a b', 'admin'), ('none', None), ('role', ['admin', 7, None, 'user']), ('num', '7'), ('tid', '')], 0, 5):
            c[k] = v
        if self.p(.6):
            return self._token(iss, c)
        kid, alg, name = self.pick(ISSUERS[iss])
        bad = self.pick(['expired', 'future', 'both', 'kid', 'sig', 'sig', 'key', 'alg', 'none', 'iss', 'aud', 'types', 'text', 'header', 'key', 'dup', 'swap', 'exp'])
        if bad == 'expired':
            c['exp'] = LONG_AGO
        elif bad == 'future':
            c['nbf'] = FAR
        elif bad == 'both':
            c.update(exp=LONG_AGO, nbf=FAR)
        elif bad == 'kid':
            return self._token(iss, c, kid=self.pick(['nope', 'key-a', 'key-b', 'key-d']))
        elif bad == 'sig':
            t = self.files[self._token(iss, c)].split('.')
            return self._file('.'.join(t[:2] + [tokens.b64(b'x' * 64)]))
        elif bad == 'alg':
            return self._token(iss, c, header={'alg': self.pick(['RS256', 'HS256', 'ES256', 'PS256', 'RS1', 'EdDSA', 'rs256'])})
        elif bad == 'none':
            t = tokens.token('none', '', {'alg': 'none'}, c)
            return self._file(t if self.p(.5) else t + 'AAAA')
        elif bad == 'iss':
            c['iss'] = self.pick(['https://other.test', '', 7, None, iss + '/', iss.upper()])
            if c['iss'] is None:
                del c['iss']
        elif bad == 'aud':
            c['aud'] = self.pick(['nobody', [], 7, ['web', 7], {'a': 'web'}, 'https://web', 'api/'])
        elif bad == 'types':
            c.update(self.pick([{'exp': 'soon'}, {'exp': -5}, {'nbf': '1'}, {'iat': 'x'}, {'sub': 7}, {'jti': 7}, {'sub': None}, {'sub': ['u-1']}, {'iat': -1}, {'nbf': True}]))
        elif bad == 'exp':
            c['exp'] = self.pick([0, 4102444800.7, 1e300, 99999999999999999999, None])
            if c['exp'] is None:
                del c['exp']
        elif bad == 'text':
            t = self.files[self._token(iss, c)]
            h, p, s = t.split('.')
            return self._file(self.pick(['garbage', 'a.b', 'a.b.c', h + '.' + p, '.' + t, t + '.', h + '..' + p + '.' + s, h + '=.' + p + '.' + s, t + '==', t + ',x', t + ' x', t + '+', t + '.x',
                                         '!.' + p + '.' + s, h + '.!.' + s, h + '.' + p + '.' + s[:-3], h + '.' + p + '.' + s + 'AA', 'Bearer ' + t, t + ';x']))
        elif bad == 'header':
            h = self.pick(['{"alg":7}', '{}', '[]', 'x', '{"alg":"%s","kid":7}' % alg, '{"alg":"%s","crit":["x"],"typ":7}' % alg, '{"alg":"%s"' % alg, '"x"', '{"alg":"%s","alg":"%s"}' % (alg, alg)])
            return self._file(tokens.token(alg, name, h, c))
        elif bad == 'key':
            return self._token(iss, c, alg='RS256' if alg != 'RS256' else 'ES256', name='k9')
        elif bad == 'dup':
            p = self.pick([json.dumps(c)[:-1] + ',"role":"admin","role":"user"}', '[]', 'x', '"a"', '{}', json.dumps(c) + ' ', json.dumps(c) + 'x', json.dumps(c)[:-1],
                           json.dumps(c)[:-1] + ',"role":"\\u0061dmin"}', json.dumps(c)[:-1] + ',"r\\u006fle":"admin"}'])
            return self._file(tokens.token(alg, name, {'alg': alg, 'kid': kid}, p))
        elif bad == 'swap':
            c['iss'] = self.pick([x for x in ISSUERS if x != iss])
        return self._token(iss, c)

    def _add_token(self, q, name, rule=None):
        rules = [rule] if rule else self._jwt_rules(q['to'])
        where = []
        if rules and self.p(.85):
            x = self.pick(rules)
            where = [dict({'header': h['name']}, **({'prefix': h['prefix']} if h.get('prefix') else {})) for h in x.get('fromHeaders', [])]
            where += [{'param': p} for p in x.get('fromParams', [])] + [{'cookie': c} for c in x.get('fromCookies', [])]
        elif self.p(.4):
            where = [{'header': 'x-jwt'}, {'header': 'x-jwt', 'prefix': 'Token '}, {'param': 'token'}, {'cookie': 'session'}, {'header': 'authorization', 'prefix': 'bearer '},
                     {'header': 'authorization', 'prefix': 'Basic '}, {'param': 'access_token'}, {'header': 'authorization'}]
        if not where:
            where = [{'bearer': 1}, {'bearer': 1}, {'header': 'Authorization', 'prefix': 'Bearer '}] + ([{'param': 'access_token'}] if self.p(.3) else [])
        w = self.pick(where)
        if 'param' in w and re.search(r'[ ,;+=!]', self.files[name]) or 'cookie' in w and re.search(r'[ ,;]', self.files[name]):
            w = {'bearer': 1}
        q['jwts'].append(dict({'file': name}, **w))

    def _bend_path(self, p):
        r = self.r
        i = r.randrange(len(p)) if p else 0
        k = self.pick(['enc', 'encslash', 'back', 'double', 'dot', 'param', 'query', 'frag', 'trail', 'case', 'high', 'odd', 'bad', 'add'])
        if k == 'enc' and p[i] not in '/%':
            e = '%%%02x' % ord(p[i]) if ord(p[i]) < 256 else '%C3%A9'
            return p[:i] + (e if self.p(.5) else e.upper()) + p[i + 1:]
        j = self.pick([m.start() for m in re.finditer('/', p)] or [0])
        if k == 'encslash' and j:
            return p[:j] + self.pick(['%2F', '%2f', '%5C', '%5c', '%252f']) + p[j + 1:]
        if k == 'back' and j:
            return p[:j] + '\\' + p[j + 1:]
        if k == 'double':
            return p[:j] + '/' + p[j:]
        if k == 'dot':
            return p[:j] + self.pick(['/.', '/x/..', '/..', '/%2e%2e', '/%2E', '/x/%2e.', '/..;', '/.;a', '/%2e%2e;x', '/x/..;p=1', '/...', '/.%2e']) + p[j:]
        if k == 'param':
            return p + self.pick([';p=1', ';', ';/x', ';a=b/../x'])
        if k == 'query':
            return p + self.pick(['?x=1', '?', '?path=/admin', '?a=/api/v1', '?x=//y/../z', '??'])
        if k == 'frag':
            return p + self.pick(['#f', '#', '#/admin', '?x=1#f', '#?x'])
        if k == 'trail':
            return p[:-1] if p.endswith('/') and len(p) > 1 else p + '/'
        if k == 'case':
            return p.swapcase()
        if k == 'high':
            return p + self.pick(['é', '%C3%A9', '%c3%a9', '%ff', '\u2028'])
        if k == 'odd':
            return p + self.pick(['"', '<', '>', '|', '^', '`', '{a}', "'", '~', '[x]', '!', '%7e', '%20', '%41', '@', ':80'])
        if k == 'bad':
            return self.pick([p + '%00', p + '%', p + '%zz', p + ' x', p + '%%34%31', p[1:] or 'x', p + '%0', '*', p + '\x7f', p + '%252e%252e', '/' + p + '//'])
        return p + self.pick(['x', 'admin', '/admin', '/../admin', '/edit', '.json'])

    def _bend(self, q):
        r = self.r
        k = self.pick(['path', 'path', 'path', 'method', 'host', 'header', 'token', 'identity', 'ip', 'port', 'tls', 'proto', 'xff', 'ext', 'query'])
        if k == 'path':
            q['path'] = self._bend_path(q['path'])
        elif k == 'query':
            q['path'] += '?x=/admin'
        elif k == 'method':
            q['method'] = self.pick(METHODS + [q['method'].lower()])
        elif k == 'host':
            h = q['host']
            q['host'] = self.pick([h.upper(), h.swapcase(), h + ':8080', h + '.', 'x' + h, h.split(':')[0], self.pick(HOSTS), h + ':80', 'a b', h + 'é', '', 'a/b'])
        elif k == 'header':
            if q['headers']:
                h = self.pick(list(q['headers']))
                v = q['headers'][h]
                q['headers'][h] = self.pick([v + [self.pick(VALUES)], [self.pick(VALUES)] + v, [v[0].upper()], [v[0] + 'x'], ['x' + v[0]], [','.join(v + ['b'])], [''], v + v])
            else:
                self._set_header(q, self.pick(HEADERS))
        elif k == 'token':
            if q['jwts'] and self.p(.4):
                q['jwts'].pop()
            else:
                self._add_token(q, self._some_token(q['to']))
        elif k == 'identity':
            if q['identity']:
                td, rest = q['identity'][9:].split('/', 1)
                q['identity'] = self.pick(['spiffe://%s/%s' % (self.pick(TDS), rest), self._identity(), q['identity'] + 'x', 'spiffe://' + td + '/ns/shop', 'spiffe://%s/x/%s' % (td, rest)])
            else:
                q.update(identity=self._identity(), workload=None, tls='mtls', ip=q['ip'] or self.pick(IPS))
        elif k == 'ip':
            q['ip'] = self.pick(IPS)
            q['to_ip'] = None if ':' in (q['to_ip'] or '') else q['to_ip']
        elif k == 'port':
            q['port'] = self.pick(self.ports[q['to']])
        elif k == 'tls':
            q['tls'] = 'plaintext' if q['tls'] == 'mtls' or not (q['identity'] or q['workload']) else 'mtls'
        elif k == 'proto':
            q['proto'] = self.pick(['grpc', 'tcp', 'http'])
        elif k == 'xff':
            q['headers']['x-forwarded-for'] = [self._xff()]
        elif k == 'ext':
            q['ext_authz'] = 'allow' if q['ext_authz'] == 'deny' else 'deny'

    def _write(self, name, q):
        """The case: what is inconsistent is put right, what a default says is sometimes left out."""
        r, gw = self.r, q['to'] == GW
        port = q['port'] or (HTTP if gw else r.choice([HTTP] * 11 + [GRPC] * 3 + [RAW] * 2 + [AUTO] * 3 + [FREE] * 2))
        k = r.random()
        proto = {HTTP: 'http' if k < .88 else 'grpc', GRPC: 'grpc' if k < .6 else 'http', RAW: 'tcp' if k < .9 else 'http'}.get(
            port, 'http' if k < .6 else 'grpc' if k < .75 else 'tcp')
        if q['proto'] and not (q['proto'] == 'tcp' and port in (HTTP, GRPC)) and not (q['proto'] == 'grpc' and port == RAW):
            proto = q['proto']
        fr = {}
        if q['workload']:
            fr['workload'] = q['workload']
            if self.view.workloads[q['workload']]['mode'] == 'none' and q['tls'] == 'mtls':
                q['tls'] = 'plaintext'
        else:
            fr['outside'] = True
            if q['identity'] and q['tls'] == 'mtls':
                fr['identity'] = q['identity']
            elif q['tls'] == 'mtls':
                q['tls'] = 'plaintext'
        if gw and q['tls'] != 'plaintext' and not self.p(.03):
            q['tls'] = 'plaintext'
            fr.pop('identity', None)
        if q['ip']:
            fr['ip'] = q['ip']
            # A connection has one family; the PROXY header would map a mixed one to IPv6.
            if (':' in q['ip']) != (':' in (q['to_ip'] or '')):
                q['to_ip'] = 'fd00::1:2' if ':' in q['ip'] else None
        elif ':' in (q['to_ip'] or ''):
            q['to_ip'] = None
        fr['tls'] = q['tls']
        to = {'workload': q['to'], 'port': port}
        if q['to_ip']:
            to['ip'] = q['to_ip']
        c = {'name': name, 'from': fr, 'to': to}
        if proto != 'http' or self.p(.05):
            c['protocol'] = proto
        if q['sni'] and q['tls'] == 'mtls':
            c['sni'] = q['sni']
        if proto == 'tcp':
            c['ext_authz'] = q['ext_authz']
            return c
        if proto == 'grpc':
            if self.p(.7):
                q['method'] = 'POST'
            if q['path'] == '*' or q['method'] in ('CONNECT',):
                q['path'] = '/'
        if q['method'] != ('POST' if proto == 'grpc' else 'GET') or self.p(.8):
            c['method'] = q['method']
        c['path'] = q['path']
        if not (self.view.service_of(q['to'], port) and self.p(.05)):
            c['host'] = q['host']
        hs = {h: v for h, v in q['headers'].items() if proto != 'grpc' or h.lower() not in ('content-type',)}
        if hs:
            c['headers'] = {h: v[0] if len(v) == 1 else v for h, v in hs.items()}
        jw = []
        for t in q['jwts']:
            if t.pop('bearer', None):
                if 'jwt' not in c and not jw:
                    c['jwt'] = t['file']
                    continue
                t.update(header='Authorization', prefix='Bearer ')
            jw.append(t)
        if jw:
            c['jwts'] = jw
        c['ext_authz'] = q['ext_authz']
        return c


def obj(version, kind, name, ns=None, labels=None, annotations=None):
    md = {'name': name}
    if ns:
        md['namespace'] = ns
    if labels:
        md['labels'] = labels
    if annotations:
        md['annotations'] = annotations
    return {'apiVersion': version, 'kind': kind, 'metadata': md}


def workload(path, ports, labels=None, annotations=None):
    ns, name = path.split('/')
    md = {'labels': dict({'app': name, 'version': 'v1'}, **(labels or {}))}
    if annotations:
        md['annotations'] = annotations
    return [obj('v1', 'ServiceAccount', name, ns), dict(obj('apps/v1', 'Deployment', name, ns), spec={
        'replicas': 1, 'selector': {'matchLabels': {'app': name}}, 'template': {'metadata': md, 'spec': {
            'serviceAccountName': name, 'containers': [{'name': 'app', 'image': 'registry.k8s.io/pause:3.9', 'ports': [
                {'name': n, 'containerPort': p} for n, p in ports]}]}}})]


def service(path, ports):
    ns, name = path.split('/')
    return dict(obj('v1', 'Service', name, ns), spec={'selector': {'app': name}, 'ports': ports})


def dump(docs):
    return yaml.dump_all(docs, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def dump_cases(cases, mesh=('mesh.yaml',)):
    """Meshtest file, one case a line: JSON is YAML too, and this much of it is written often."""
    return 'mesh: [%s]\ntests:\n' % ', '.join(mesh) + ''.join('- %s\n' % json.dumps(c, ensure_ascii=True).replace('\x7f', '\\u007f') for c in cases)


def write(mesh, directory):
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, 'mesh.yaml'), 'w', encoding='utf-8') as f:
        f.write(mesh.yaml())
    for n, t in mesh.files.items():
        with open(os.path.join(directory, n), 'w', encoding='utf-8') as f:
            f.write(t + '\n')


if __name__ == '__main__':
    m = Mesh(sys.argv[1] if len(sys.argv) > 1 else '1/0', int(sys.argv[2]) if len(sys.argv) > 2 else 20)
    print(m.yaml() + '---\n' + yaml.dump({'tests': m.cases}, Dumper=Dumper, sort_keys=False, allow_unicode=True))
