import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const day = 86_400_000

/**
 * Makes a certificate authority of our own and a server's certificate for 127.0.0.1, and writes them where the
 * configurations look for them: `certs/ca.pem`, `certs/server.pem`, `certs/server-key.pem`.
 *
 * @returns The authority's certificate as PEM.
 */
export async function makeCertificates(folder: string): Promise<string> {
  const { subtle } = webcrypto
  const validity = { notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) }
  const authorityKeys = await subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const authority = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=Test authority',
    ...validity,
    signingAlgorithm: algorithm,
    keys: authorityKeys,
    extensions: [
      new BasicConstraintsExtension(true, 1, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  })
  const serverKeys = await subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const server = await X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=nats-server',
    issuer: authority.subject,
    ...validity,
    signingAlgorithm: algorithm,
    publicKey: serverKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false),
      new SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        { type: 'dns', value: 'localhost' },
      ]),
    ],
  })
  const key = await subtle.exportKey('pkcs8', serverKeys.privateKey)
  mkdirSync(join(folder, 'certs'))
  writeFileSync(join(folder, 'certs', 'ca.pem'), authority.toString('pem'))
  writeFileSync(join(folder, 'certs', 'server.pem'), server.toString('pem'))
  writeFileSync(join(folder, 'certs', 'server-key.pem'), PemConverter.encode(key, 'PRIVATE KEY'))
  return authority.toString('pem')
}
