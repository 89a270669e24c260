#!/usr/bin/env python3
"""Sends the recorded cases again: recorded.py DIR [MESH ...]

DIR holds NNN/{mesh.yaml, cases.meshtest.yaml, config/*.json}: what istiod pushed, and what Envoy answered when it was recorded.
Every case goes through the running Envoy and must come out as recorded. That proves the way from a case to a request (meshcase.py),
on which the differential test stands. Exit status 0, 1 on a difference, 77 where there is no Envoy.
"""
import argparse, collections, copy, glob, json, os, sys, time

import yaml

import meshcase
from envoyproc import EnvoyError
from judge import Judge

T = 'type.googleapis.com/'
NET, LIS = T + 'envoy.extensions.filters.network.', T + 'envoy.extensions.filters.listener.'
TYPES = {'envoy.filters.listener.original_dst': LIS + 'original_dst.v3.OriginalDst',
         'envoy.filters.listener.tls_inspector': LIS + 'tls_inspector.v3.TlsInspector',
         'envoy.filters.listener.http_inspector': LIS + 'http_inspector.v3.HttpInspector'}


def whole(proxy):
    """A recorded proxy as Envoy can load it: what the recording sums up or leaves out is put back."""
    p = copy.deepcopy(proxy)
    for l in p['listeners']:
        for f in l['listener_filters']:
            f['typed_config'] = {'@type': TYPES[f['name']]}
        l['continue_on_listener_filters_timeout'] = True
        for c in l['filter_chains']:
            tls = c.pop('tls', None)
            if tls:
                c['transport_socket'] = {'name': 'envoy.transport_sockets.tls', 'typed_config': {
                    '@type': T + 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
                    'require_client_certificate': tls['require_client_certificate'],
                    'common_tls_context': {
                        'alpn_protocols': tls['alpn_protocols'],
                        'tls_certificate_sds_secret_configs': [{'name': 'default'}],
                        'combined_validation_context': {
                            'default_validation_context': {'match_subject_alt_names': tls['match_subject_alt_names']},
                            'validation_context_sds_secret_config': {'name': 'ROOTCA'}}}}}
            for f in c['filters']:
                tc = f['typed_config']
                tc.setdefault('stat_prefix', 'x')
                if f['name'].endswith('tcp_proxy'):
                    tc['@type'] = NET + 'tcp_proxy.v3.TcpProxy'
                elif f['name'].endswith('http_connection_manager'):
                    tc['http_filters'].append({'name': 'envoy.filters.http.router', 'typed_config': {
                        '@type': T + 'envoy.extensions.filters.http.router.v3.Router'}})
                    if 'rds' not in tc:
                        tc['route_config'] = {'name': 'inbound', 'virtual_hosts': [{
                            'name': 'inbound', 'domains': ['*'],
                            'routes': [{'name': 'default', 'match': {'prefix': '/'}, 'route': {'cluster': 'inbound'}}]}]}
    return p


def compare(expect, case, q, r):
    v = meshcase.verdict(q, r)
    out = [(k, expect[k], v[k]) for k in ('verdict', 'status') if expect[k] != v[k]]
    if 'details' in v and expect.get('details', '') != (v['details'] or ''):
        out.append(('details', expect.get('details', ''), v['details']))
    a = meshcase.attribution(r)
    if a and 'policy' in expect and a != (expect.get('stage'), expect['policy']):
        out.append(('policy', (expect.get('stage'), expect['policy']), a))
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('dir')
    ap.add_argument('mesh', nargs='*', help='only these')
    a = ap.parse_args()
    names = a.mesh or sorted(os.path.basename(os.path.dirname(p)) for p in glob.glob(os.path.join(a.dir, '*', 'mesh.yaml')))
    if not names:
        print('no recorded mesh in %s' % a.dir, file=sys.stderr)
        return 2
    t0, n, kinds, bad = time.time(), 0, collections.Counter(), 0
    try:
        judge = Judge()
    except EnvoyError as e:
        print('SKIPPED: %s' % e, file=sys.stderr)
        return 77
    with judge as j:
        for name in names:
            d = os.path.join(a.dir, name)
            with open(os.path.join(d, 'mesh.yaml'), encoding='utf-8') as f:
                mesh = meshcase.Mesh(list(yaml.load_all(f, meshcase.Loader)))
            with open(os.path.join(d, 'cases.meshtest.yaml'), encoding='utf-8') as f:
                cases = yaml.load(f, meshcase.Loader)['tests']
            proxies = []
            for p in sorted(glob.glob(os.path.join(d, 'config', '*.json'))):
                with open(p, encoding='utf-8') as f:
                    proxies.append(whole(json.load(f)))
                w = mesh.workloads['%s/%s' % (proxies[-1]['namespace'], proxies[-1]['workload'])]
                proxies[-1]['principal'] = w['principal']
            for p in j.load(proxies):
                for l, e in p.errors.items():
                    print('%s: %s/%s: listener %s refused: %s' % (name, p.ns, p.workload, l, e))
                    bad += 1
            read = meshcase.token_reader(d)
            qs = [meshcase.request(mesh, c, i, read) for i, c in enumerate(cases)]
            for c, q, r in zip(cases, qs, j.run(qs)):
                n += 1
                kinds[c['expect']['verdict'], c['expect'].get('stage', '-')] += 1
                for k, want, got in compare(c['expect'], c, q, r):
                    bad += 1
                    print('%s %s: %s: recorded %r, now %r' % (name, c['name'], k, want, got))
    for k, v in sorted(kinds.items()):
        print('%6d %s %s' % (v, *k))
    print('%d cases in %.1f s' % (n, time.time() - t0))
    print('%d decisions, %d differences' % (n, bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
