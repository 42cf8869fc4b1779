// S3's protocol with the arguments and the file of identities of `weed server`: who asks is
// told by signature version 4, in a header or in a presigned URL, and may do what the
// identity's actions say. What is allowed goes on to s3rver, which keeps the objects.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const S3rver = require('s3rver');
const AWSAccount = require('s3rver/lib/models/account');
const FilesystemStore = require('s3rver/lib/stores/filesystem');

const FIFTEEN_MINUTES = 15 * 60 * 1000;

function option(name) {
  const found = process.argv.find((argument) => argument.startsWith(`-${name}=`));
  return found.slice(name.length + 2);
}

const keys = new Map();
for (const { name, actions, credentials } of JSON.parse(
  fs.readFileSync(option('s3.config'), 'utf8'),
).identities) {
  for (const { accessKey, secretKey } of credentials) {
    keys.set(accessKey, { name, actions, secretKey });
    new AWSAccount(name, name).createKeyPair(accessKey, secretKey);
  }
}

class Refused extends Error {}

const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();

function escape(text) {
  const hex = (letter) => '%' + letter.charCodeAt(0).toString(16).toUpperCase();
  return encodeURIComponent(text).replace(/[!'()*]/g, hex);
}

function milliseconds(stamp) {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp);
  if (!parts) throw new Refused('AccessDenied');
  const [, year, month, day, hour, minute, second] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

// What a request says of its signature, wherever it says it.
function claim(request, query) {
  if (query.has('X-Amz-Signature')) {
    const date = query.get('X-Amz-Date');
    return {
      credential: query.get('X-Amz-Credential'),
      headers: query.get('X-Amz-SignedHeaders'),
      signature: query.get('X-Amz-Signature'),
      date,
      payload: 'UNSIGNED-PAYLOAD',
      ends: milliseconds(date) + 1000 * Number(query.get('X-Amz-Expires')),
    };
  }
  const said = /^AWS4-HMAC-SHA256 Credential=(.+?), ?SignedHeaders=(.+?), ?Signature=(\w+)$/.exec(
    request.headers.authorization,
  );
  if (!said) throw new Refused('AccessDenied');
  const date = request.headers['x-amz-date'];
  return {
    credential: said[1],
    headers: said[2],
    signature: said[3],
    date,
    payload: request.headers['x-amz-content-sha256'],
    ends: milliseconds(date) + FIFTEEN_MINUTES,
  };
}

function signatureOf(request, path, query, { credential, headers, date, payload }, secret) {
  const pairs = [...query].filter(([name]) => name !== 'X-Amz-Signature');
  const canonical = [
    request.method,
    path.split('/').map((part) => escape(decodeURIComponent(part))).join('/'),
    pairs.map((pair) => pair.map(escape).join('=')).sort().join('&'),
    ...headers.split(';').map((name) => {
      const value = request.headers[name] || '';
      return `${name}:${value.trim().replace(/ +/g, ' ')}`;
    }),
    '',
    headers,
    payload,
  ].join('\n');
  const [, ...scope] = credential.split('/');
  const hash = crypto.createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), hash].join('\n');
  const key = scope.reduce(hmac, 'AWS4' + secret);
  return hmac(key, text).toString('hex');
}

// The identity that signed a request. s3rver reads it from the header, and checks nothing.
function identify(request, path, query) {
  const said = claim(request, query);
  const [id] = said.credential.split('/');
  const identity = keys.get(id);
  if (!identity) throw new Refused('InvalidAccessKeyId');
  if (signatureOf(request, path, query, said, identity.secretKey) !== said.signature) {
    throw new Refused('SignatureDoesNotMatch');
  }
  if (Date.now() > said.ends) throw new Refused('AccessDenied');
  request.headers.authorization =
    `AWS4-HMAC-SHA256 Credential=${id},SignedHeaders=host,Signature=checked`;
  request.headers['x-amz-content-sha256'] ||= said.payload;
  request.headers['x-amz-date'] = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  for (const name of [...query.keys()]) if (/^X-Amz-/.test(name)) query.delete(name);
  request.url = query.size ? `${path}?${query}` : path;
  return identity;
}

function actionOf(method, object, query) {
  const reads = method === 'GET' || method === 'HEAD';
  if (query.has('tagging')) return reads ? 'Read' : 'Tagging';
  if (object) return reads ? 'Read' : 'Write';
  if (method === 'POST' && query.has('delete')) return 'Write';
  if (method === 'GET' && !query.has('location')) return 'List';
  return method === 'HEAD' || method === 'GET' ? 'Read' : 'Admin';
}

function check(request) {
  const [path, search = ''] = request.url.split('?');
  const query = new URLSearchParams(search.replaceAll('+', '%2B'));
  const { actions } = identify(request, path, query);
  const [, bucket, ...object] = path.split('/');
  const action = actionOf(request.method, object.join('/'), query);
  const wanted = bucket ? [action, `${action}:${bucket}`, 'Admin'] : ['List', 'Admin'];
  if (!actions.some((one) => wanted.includes(one))) throw new Refused('AccessDenied');
}

// An object is there as a whole once its writer is answered, and one that is not there can be
// deleted: s3rver holds neither.
class Store extends FilesystemStore {
  async putObject({ bucket, key, content, metadata }) {
    const written = await this.write(bucket, this.getResourcePath(bucket, key, 'object'), content);
    await this.putMetadata(bucket, key, metadata, written.md5);
    return written;
  }

  async putPart(bucket, upload, number, content) {
    const uploads = this.getResourcePath(bucket, undefined, 'uploads');
    return this.write(bucket, path.join(uploads, upload, String(number)), content);
  }

  async write(bucket, target, content) {
    const part = path.join(this.getResourcePath(bucket, '', 'parts'), crypto.randomUUID());
    for (const file of [part, target]) fs.mkdirSync(path.dirname(file), { recursive: true });
    const hash = crypto.createHash('md5');
    let size = 0;
    async function* counted(chunks) {
      for await (const chunk of chunks) {
        hash.update(chunk);
        size += chunk.length;
        yield chunk;
      }
    }
    const chunks = Buffer.isBuffer(content) ? Readable.from([content]) : content;
    await pipeline(chunks, counted, fs.createWriteStream(part));
    fs.renameSync(part, target);
    return { size, md5: hash.digest('hex') };
  }

  async deleteObject(bucket, key) {
    if (await this.existsObject(bucket, key)) {
      for (const kind of ['object', 'object.md5', 'metadata.json']) {
        fs.rmSync(this.getResourcePath(bucket, key, kind), { force: true });
      }
    }
  }
}

const app = new S3rver({ silent: true, directory: '/data', vhostBuckets: false });
app.store = app.context.store = new Store('/data');
const store = app.callback();

http
  .createServer((request, response) => {
    if (request.url === '/healthz') return response.end();
    try {
      check(request);
    } catch (error) {
      const code = error instanceof Refused ? error.message : 'InvalidRequest';
      console.log(request.method, request.url, code, error instanceof Refused ? '' : error);
      response.writeHead(code === 'InvalidRequest' ? 400 : 403, {
        'Content-Type': 'application/xml',
      });
      request.resume();
      return response.end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
    }
    store(request, response);
  })
  .listen(Number(option('s3.port')), '0.0.0.0', () => console.log('listening'));

for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
