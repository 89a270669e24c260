"""What a meshtest case means on the wire: the request for the judge, and the verdict object behind the judge's answer.

Knows just enough of a mesh for that: workloads, identities, which Service has a port, and what auto mTLS does there.
Policies are none of its business, except PeerAuthentication where a case leaves the TLS to the caller's proxy.
"""
import os, re

import yaml

Loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
ID = re.compile(r'ns\[([^\]]*)\]-policy\[(.*)\]-rule\[(\d+)\]')
GRPC_STATUS = {'7': 403, '16': 401, '12': 404, '13': 400, '14': 503}
POD_IP = '10.244.7.7'        # a pod whose address nobody states: some address of pod_cidrs
CALLER_IP = '10.244.9.9'
OUTSIDE_IP = '198.51.100.77'


class Mesh:
    def __init__(self, docs):
        self.workloads, self.services, self.pas = {}, [], []
        self.trust_domain, self.root = 'cluster.local', 'istio-system'
        enabled = set()
        for d in docs:
            if not d:
                continue
            md, kind = d['metadata'], d['kind']
            if kind == 'Namespace' and (md.get('labels') or {}).get('istio-injection') == 'enabled':
                enabled.add(md['name'])
            elif kind == 'ConfigMap' and md['name'] == 'istio':
                m = yaml.load(d['data']['mesh'], Loader)
                self.trust_domain = m.get('trustDomain') or 'cluster.local'
                self.root = m.get('rootNamespace') or 'istio-system'
            elif kind == 'Service':
                self.services.append(d)
            elif kind == 'PeerAuthentication':
                self.pas.append(d)
        for d in docs:
            if not d or d['kind'] != 'Deployment':
                continue
            ns, t = d['metadata']['namespace'], d['spec']['template']
            md = t['metadata']
            inject = (md.get('labels') or {}).get('sidecar.istio.io/inject')
            gateway = (md.get('annotations') or {}).get('inject.istio.io/templates') == 'gateway'
            mesh = inject == 'true' or (inject != 'false' and ns in enabled)
            self.workloads['%s/%s' % (ns, d['metadata']['name'])] = {
                'namespace': ns, 'labels': md.get('labels') or {},
                'mode': ('gateway' if gateway else 'sidecar') if mesh else 'none',
                'ports': {p.get('name'): p['containerPort'] for c in t['spec']['containers'] for p in c.get('ports', [])},
                'principal': 'spiffe://%s/ns/%s/sa/%s' % (self.trust_domain, ns, t['spec'].get('serviceAccountName', 'default'))}

    def service_of(self, workload, port):
        """(host, service port) of the first Service that leads to the workload's container port."""
        w = self.workloads[workload]
        for s in self.services:
            sel = s['spec'].get('selector') or {}
            if s['metadata']['namespace'] != w['namespace'] or not sel or any(w['labels'].get(k) != v for k, v in sel.items()):
                continue
            for p in s['spec']['ports']:
                t = p.get('targetPort', p['port'])
                if (w['ports'].get(t) if isinstance(t, str) else t) == port:
                    return '%s.%s.svc.cluster.local' % (s['metadata']['name'], w['namespace']), p['port']
        return None

    def peer_mode(self, ns, labels=None, port=None):
        """Effective PeerAuthentication mode of a namespace, or of a workload's port."""
        def oldest(found):
            found = sorted(found, key=lambda d: (str(d['metadata'].get('creationTimestamp', '')), d['metadata']['name']))
            return found[0]['spec'] if found else {}

        def selector(d):
            return ((d.get('spec') or {}).get('selector') or {}).get('matchLabels') or {}
        in_ns = lambda n: [d for d in self.pas if d['metadata']['namespace'] == n]
        mode = 'PERMISSIVE'
        levels = [oldest([d for d in in_ns(self.root) if not selector(d)])]
        if ns != self.root:
            levels.append(oldest([d for d in in_ns(ns) if not selector(d)]))
        own = {}
        if labels is not None and ns != self.root:
            own = oldest([d for d in in_ns(ns) if selector(d) and all(labels.get(k) == v for k, v in selector(d).items())])
            levels.append(own)
        for s in levels:
            m = (s.get('mtls') or {}).get('mode', 'UNSET')
            mode = mode if m == 'UNSET' else m
        if port is not None:
            m = (own.get('portLevelMtls') or {}).get(port, (own.get('portLevelMtls') or {}).get(str(port)))
            if m and m.get('mode', 'UNSET') != 'UNSET':
                mode = m['mode']
        return mode

    def auto_tls(self, caller, workload, port):
        """What the caller's own proxy does towards the Service that has this port."""
        to = self.workloads[workload]
        if caller is None or caller['mode'] == 'none' or to['mode'] != 'sidecar' or not self.service_of(workload, port):
            return 'plaintext'
        if self.peer_mode(to['namespace']) == 'DISABLE' or self.peer_mode(to['namespace'], to['labels'], port) == 'DISABLE':
            return 'plaintext'
        return 'mtls'


def request(mesh, case, n, read_token):
    """The judge's request for a case. read_token(file) is the token's text."""
    fr, to = case['from'], case['to']
    proto = case.get('protocol') or 'http'
    port, w = int(to['port']), mesh.workloads[to['workload']]
    caller = mesh.workloads[fr['workload']] if fr.get('workload') else None
    svc = mesh.service_of(to['workload'], port)
    tls = fr.get('tls') or 'auto'
    if tls == 'auto':
        tls = mesh.auto_tls(caller, to['workload'], port)
    ident = fr.get('identity') or (caller['principal'] if caller and caller['mode'] != 'none' else None)
    sni = case.get('sni')
    if sni is None and tls == 'mtls' and svc:
        sni = 'outbound_.%d_._.%s' % (svc[1], svc[0])
    dip = to.get('ip') or POD_IP
    path, headers = case.get('path', '/'), []
    for k, v in (case.get('headers') or {}).items():
        headers += [[k, str(x)] for x in (v if isinstance(v, list) else [v])]
    tokens = ([{'file': case['jwt'], 'header': 'Authorization', 'prefix': 'Bearer '}] if case.get('jwt') else []) + (case.get('jwts') or [])
    for t in tokens:
        v = read_token(t['file'])
        if t.get('param'):
            path += ('&' if '?' in path else '?') + t['param'] + '=' + v
        elif t.get('cookie'):
            headers.append(['Cookie', t['cookie'] + '=' + v])
        else:
            headers.append([t['header'], t.get('prefix', '') + v])
    host = case.get('host')
    if host is None:
        host = '%s:%d' % (svc[0], port) if svc else '%s:%d' % (dip, port)
    q = {'id': n, 'proxy': to['workload'], 'protocol': proto, 'method': case.get('method') or ('POST' if proto == 'grpc' else 'GET'),
         'path': path, 'authority': host, 'headers': headers,
         'source': {'ip': fr.get('ip') or (CALLER_IP if caller else OUTSIDE_IP), 'principal': ident if tls == 'mtls' else None,
                    'tls': tls, 'sni': sni},
         'destination': {'ip': dip, 'port': port}}
    if case.get('ext_authz') is not None:
        q['ext_authz'] = case['ext_authz']
    return q


def token_reader(directory):
    seen = {}

    def read(name):
        if name not in seen:
            with open(os.path.join(directory, name), encoding='utf-8') as f:
                seen[name] = f.read().strip()
        return seen[name]
    return read


def verdict(q, r):
    """Verdict object of the judge's result, with the keys that Envoy defines; a missing key says nothing."""
    det, ctd = r.get('response_code_details') or '', r.get('connection_termination_details') or ''
    if r['connection'] == 'error':
        if 'listener rejected' in r.get('error', ''):
            return {'verdict': 'undetermined', 'refused': r['error']}
        return {'verdict': 'error', 'details': r.get('error', '')}
    if ctd or det == 'filter_chain_not_found':              # a network filter or the listener ended the connection
        d = det if det == 'filter_chain_not_found' else ctd
        return {'verdict': 'reject', 'status': 0, 'details': d, 'flags': r.get('response_flags') or '-'}
    if r['connection'] in ('tls-failure', 'no-listener', 'reset', 'closed'):
        v = {'verdict': 'reject', 'status': 0}
        if det:                                             # a filter or the codec ended it, not the handshake
            v.update(details=det, flags=r.get('response_flags') or '-')
        return v
    if r.get('tls_passthrough') and q['source']['tls'] == 'mtls':   # the application behind speaks no TLS
        return {'verdict': 'reject', 'status': 0}
    if r['upstream_reached']:
        if q['protocol'] == 'tcp':
            return {'verdict': 'allow', 'status': 0}
        if str((r.get('upstream') or {}).get('via', '')).startswith('tcp'):      # only the connection counts
            return {'verdict': 'allow'}
        return {'verdict': 'allow', 'status': 200}
    if q['protocol'] == 'tcp':
        return {'verdict': 'deny', 'status': r['status'], 'details': det}
    v = {'verdict': 'deny', 'status': r['status'], 'details': det, 'flags': r.get('response_flags') or '-'}
    if q['protocol'] == 'grpc' and 'grpc-status' in r['headers']:
        v['grpc_status'] = int(r['headers']['grpc-status'])
        v['status'] = GRPC_STATUS.get(r['headers']['grpc-status'], r['status'])
        v['body'] = r['headers'].get('grpc-message', '')
    elif q['method'] != 'HEAD':
        v['body'] = r.get('body', '')
    if det in ('route_not_found', 'direct_response') or 300 <= v['status'] < 400 and det != 'path_normalization_failed':
        v['verdict'] = 'allow'
    return v


def attribution(r):
    """(stage, 'ns/name' or 'none') of the policy that refused, as Envoy names it; None where it does not."""
    det = r.get('response_code_details') or ''
    d = det if det.startswith('rbac_') else (r.get('connection_termination_details') or '')
    if d.startswith('rbac_access_denied_matched_policy['):
        m = ID.search(d)
        if m is None:
            return 'allow', 'none'
        return ('custom' if d.endswith('bad-CUSTOM-action]') else 'deny'), '/'.join(m.groups()[:2])
    return None


def differences(want, got):
    """Names of the keys in which meshproof's verdict object differs from what Envoy did."""
    out = []
    for k in ('verdict', 'status', 'details', 'flags', 'body', 'grpc_status'):
        if k not in want:
            continue
        g, w = got.get(k), want[k]
        if k in ('details', 'body', 'flags'):
            none = '-' if k == 'flags' else ''
            g, w = g or none, w or none
        if g != w:
            out.append(k)
    return out
