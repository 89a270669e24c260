"""Signing keys and tokens of the made-up issuers. Keys follow from a fixed text, so that none is stored and every run has the same."""
import base64, functools, hashlib, hmac, json, random

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

HASH = {'256': hashes.SHA256, '384': hashes.SHA384, '512': hashes.SHA512}
CURVE = {'ES256': (ec.SECP256R1, 'P-256', 32), 'ES384': (ec.SECP384R1, 'P-384', 48), 'ES512': (ec.SECP521R1, 'P-521', 66)}
SMALL = [p for p in range(3, 2000, 2) if all(p % q for q in range(3, int(p ** 0.5) + 1, 2))]


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b'=').decode()


def _num(n, size=None):
    return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, 'big'))


def _prime(r, bits, e):
    while True:
        n = r.getrandbits(bits) | 3 << (bits - 2) | 1
        if all(n % p for p in SMALL) and (n - 1) % e and all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7)):
            return n


@functools.lru_cache(None)
def rsa_key(name):
    r, e = random.Random('rsa ' + name), 65537
    p, q = _prime(r, 1024, e), _prime(r, 1024, e)
    d = pow(e, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
                                 rsa.RSAPublicNumbers(e, p * q)).private_key()


@functools.lru_cache(None)
def ec_key(name, alg):
    c = CURVE[alg][0]()
    return ec.derive_private_key(random.Random('ec %s %s' % (name, alg)).getrandbits(c.key_size - 2) + 1, c)


@functools.lru_cache(None)
def ed_key(name):
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b'ed ' + name.encode()).digest())


def oct_key(name):
    return hashlib.sha256(b'oct ' + name.encode()).digest()


def sign(alg, name, data):
    if alg == 'none':
        return b''
    if alg[:2] == 'HS':
        return hmac.new(oct_key(name), data, 'sha' + alg[2:]).digest()
    if alg == 'EdDSA':
        return ed_key(name).sign(data)
    if alg[:2] == 'ES':
        h = HASH[alg[2:]]()
        size = CURVE[alg][2]
        r, s = utils.decode_dss_signature(ec_key(name, alg).sign(data, ec.ECDSA(h)))
        return r.to_bytes(size, 'big') + s.to_bytes(size, 'big')
    h = HASH[alg[2:]]()
    p = padding.PKCS1v15() if alg[:2] == 'RS' else padding.PSS(padding.MGF1(h), h.digest_size)
    return rsa_key(name).sign(data, p, h)


def jwk(alg, name, kid=None, with_alg=True):
    if alg[:2] in ('RS', 'PS'):
        n = rsa_key(name).public_key().public_numbers()
        k = {'kty': 'RSA', 'n': _num(n.n), 'e': _num(n.e)}
    elif alg[:2] == 'ES':
        n = ec_key(name, alg).public_key().public_numbers()
        _, crv, size = CURVE[alg]
        k = {'kty': 'EC', 'crv': crv, 'x': _num(n.x, size), 'y': _num(n.y, size)}
    elif alg == 'EdDSA':
        k = {'kty': 'OKP', 'crv': 'Ed25519', 'x': b64(ed_key(name).public_key().public_bytes_raw())}
    else:
        k = {'kty': 'oct', 'k': b64(oct_key(name))}
    if kid is not None:
        k['kid'] = kid
    if with_alg:
        k['alg'] = alg
    return k


def token(alg, name, header, payload):
    """header and payload: an object, or text that stands as it is."""
    part = lambda x: b64((x if isinstance(x, str) else json.dumps(x, separators=(',', ':'), ensure_ascii=False)).encode())
    data = part(header) + '.' + part(payload)
    return data + '.' + b64(sign(alg, name, data.encode()))
