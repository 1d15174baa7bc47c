import { afterAll, assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as fs from "node:fs"
import { createServer } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { makeGatewayCredentials, plainProxy } from "../../../src/layers/credentials/GatewayCredentials.ts"
import { type OneCliClient, oneCliGateway } from "../../../src/layers/credentials/OneCliGateway.ts"
import { makeStaticCredentials } from "../../../src/layers/credentials/StaticCredentials.ts"
import { type CredentialGrant, noCredentials } from "../../../src/services/Credentials.ts"
import {
  builtInProviders,
  makeProviderRegistry,
  noContribution,
} from "../../../src/services/ProviderRegistry.ts"
import { aGroup } from "../../support/Rows.ts"

const group = aGroup({
  id: "family",
  provider: { name: "claude", command: null, timeoutMs: null, model: null },
})

const revealed = ({ secrets }: CredentialGrant) =>
  Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, Redacted.value(secret)]))

const listening = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly close: () => Promise<void> }>((resume) => {
    const server = createServer((socket) => socket.destroy())
    const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      if (address === null || typeof address === "string") throw new Error("no port")
      resume(Effect.succeed({ port: address.port, close }))
    })
  }),
  ({ close }) => Effect.promise(close),
)

describe("no credentials", () => {
  it.effect("are enough for who needs none, and refused to who needs some", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(revealed(yield* noCredentials.of(group, "optional")), {})
      const { message } = yield* Effect.flip(noCredentials.of(group, "required"))
      assert.include(message, "claude")
      assert.include(message, "credentials.kind")
    }),
  )
})

describe("static credentials", () => {
  const environment = { API_KEY: "s3cret", EMPTY: "", OTHER: "not asked for" }

  it.effect("are the named variables, under their names, and nobody can print them", () =>
    Effect.gen(function* () {
      const credentials = makeStaticCredentials({ variables: ["API_KEY"], environment })
      const grant = yield* credentials.of(group, "required")
      assert.deepStrictEqual(revealed(grant), { API_KEY: "s3cret" })
      assert.notInclude(JSON.stringify(grant), "s3cret")
      assert.notInclude(String(grant.secrets["API_KEY"]), "s3cret")
      assert.deepStrictEqual(grant.env, {})
    }),
  )

  it.effect("are kept from a provider that wants none", () =>
    Effect.gen(function* () {
      const credentials = makeStaticCredentials({ variables: ["API_KEY"], environment })
      assert.deepStrictEqual(revealed(yield* credentials.of(group, "none")), {})
    }),
  )

  for (const [variables, named] of [
    [["API_KEY", "EMPTY"], "EMPTY"],
    [["MISSING"], "MISSING"],
    [[], "credentials.variables"],
  ] as const)
    it.effect(`are refused where they are required and ${named} is not there`, () =>
      Effect.gen(function* () {
        const credentials = makeStaticCredentials({ variables, environment })
        assert.include((yield* Effect.flip(credentials.of(group, "required"))).message, named)
        yield* credentials.of(group, "optional")
      }),
    )
})

describe("a gateway", () => {
  it.effect(
    "is told to containers as their proxy, with its certificate, and the credentials stay with it",
    () =>
      Effect.gen(function* () {
        const { port } = yield* listening
        const folder = fs.realpathSync(os.tmpdir())
        const certificate = path.join(folder, `lamplighter-gateway-${port}.pem`)
        fs.writeFileSync(certificate, "")
        yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(certificate)))
        const credentials = makeGatewayCredentials(
          plainProxy({
            url: Redacted.make("http://{group}:t0ken@gateway:10255"),
            probe: { host: "127.0.0.1", port },
            certificate,
          }),
        )
        const grant = yield* credentials.of(group, "required")
        const url = "http://family:t0ken@gateway:10255"
        assert.deepStrictEqual(revealed(grant), {
          HTTP_PROXY: url,
          HTTPS_PROXY: url,
          http_proxy: url,
          https_proxy: url,
        })
        assert.notInclude(JSON.stringify(grant), "t0ken")
        assert.strictEqual(grant.binds[0]?.source, certificate)
        assert.strictEqual(grant.binds[0]?.access, "read-only")
        assert.strictEqual(grant.env["NODE_EXTRA_CA_CERTS"], grant.binds[0]?.target)
      }),
  )

  it.effect("that takes no connection gives none, also to who could do without", () =>
    Effect.gen(function* () {
      const { close, port } = yield* listening
      yield* Effect.promise(close)
      const credentials = makeGatewayCredentials(
        plainProxy({
          url: Redacted.make("http://gateway:1"),
          probe: { host: "127.0.0.1", port },
          certificate: null,
        }),
      )
      for (const need of ["required", "optional"] as const)
        assert.include((yield* Effect.flip(credentials.of(group, need))).message, "the gateway gives none")
      assert.deepStrictEqual(revealed(yield* credentials.of(group, "none")), {})
    }),
  )
})

describe("OneCLI", () => {
  const folder = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "lamplighter-onecli-")))
  afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

  /** Answers as the SDK's client does. */
  const client = (config: Partial<Awaited<ReturnType<OneCliClient["getContainerConfig"]>>> = {}) => {
    const asked: Array<unknown> = []
    return {
      asked,
      ensureAgent: (input: unknown) => {
        asked.push(input)
        return Promise.resolve()
      },
      getContainerConfig: (options: unknown) => {
        asked.push(options)
        return Promise.resolve({
          env: { HTTPS_PROXY: "http://x:t0ken@host.docker.internal:10255", SSL_CERT_FILE: "/elsewhere" },
          caCertificate: "-----BEGIN CERTIFICATE-----\nmine\n-----END CERTIFICATE-----\n",
          caCertificateContainerPath: "/tmp/onecli-proxy-ca.pem",
          ...config,
        })
      },
    }
  }

  it.effect("is told of the agent first, then asked for what its container needs", () =>
    Effect.gen(function* () {
      const onecli = client({
        credentialStubs: [{ containerPath: "/home/node/.claude.json", content: "{}" }],
      })
      const credentials = makeGatewayCredentials(oneCliGateway(onecli, { folder }))
      const grant = yield* credentials.of(group, "required")
      assert.deepStrictEqual(onecli.asked, [{ name: group.name, identifier: "family" }, { agent: "family" }])
      assert.deepStrictEqual(revealed(grant), {
        HTTPS_PROXY: "http://x:t0ken@host.docker.internal:10255",
      })
      assert.notInclude(JSON.stringify(grant), "t0ken")
      assert.deepStrictEqual(grant.hostNames, ["host.docker.internal"])
      assert.deepStrictEqual(
        grant.binds.map(({ access, target }) => [target, access]),
        [
          ["/tmp/onecli-proxy-ca.pem", "read-only"],
          ["/tmp/onecli-combined-ca.pem", "read-only"],
          ["/home/node/.claude.json", "read-only"],
        ],
      )
      const bundle = fs.readFileSync(grant.binds[1]?.source ?? "", "utf8")
      assert.isTrue(bundle.endsWith("mine\n-----END CERTIFICATE-----\n"))
      assert.isAbove(bundle.split("BEGIN CERTIFICATE").length, 50, "with those that everybody trusts")
      assert.strictEqual(grant.env["SSL_CERT_FILE"], grant.binds[1]?.target)
      const again = yield* credentials.of(group, "required")
      assert.deepStrictEqual(again.binds, grant.binds)
    }),
  )

  for (const containerPath of ["/workspace/x", "/tmp/../etc/passwd", "relative", "/app/src/main.ts", "/tmp/"])
    it.effect(`puts no file at ${containerPath}`, () =>
      Effect.gen(function* () {
        const onecli = client({ credentialStubs: [{ containerPath, content: "" }] })
        const credentials = makeGatewayCredentials(oneCliGateway(onecli, { folder }))
        assert.include((yield* Effect.flip(credentials.of(group, "optional"))).message, containerPath)
      }),
    )

  it.effect("that refuses or is not there gives no credentials, and says why", () =>
    Effect.gen(function* () {
      const refusing = { ...client(), ensureAgent: () => Promise.reject(new Error("401 bad key")) }
      const credentials = makeGatewayCredentials(oneCliGateway(refusing, { folder }))
      assert.include((yield* Effect.flip(credentials.of(group, "required"))).message, "401 bad key")
    }),
  )
})

describe("the registry of providers", () => {
  it("asks the provider that the group names, and lets one that it does not know have credentials", () => {
    const registry = makeProviderRegistry({
      ...builtInProviders,
      claude: ({ id }) => ({ ...noContribution, env: { GROUP: id }, credentials: "required" }),
    })
    assert.deepInclude(registry.contribute(group), { env: { GROUP: "family" }, credentials: "required" })
    assert.strictEqual(registry.contribute(aGroup()).credentials, "none")
    const foreign = aGroup({ provider: { name: "constructor", command: null, timeoutMs: null, model: null } })
    assert.strictEqual(registry.contribute(foreign).credentials, "optional")
  })
})
