/** The HTTP API: schemas of every request and answer, shared by the daemon and its clients. Served on a unix socket. */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { Delivery } from "../../domain/Delivery.ts"
import { Group } from "../../domain/Group.ts"
import { DeliveryId, GroupId, MessageId, SeriesId, SessionId } from "../../domain/Ids.ts"
import { LedgerEvent } from "../../domain/LedgerEvent.ts"
import { Message } from "../../domain/Message.ts"
import { Run } from "../../domain/Run.ts"
import { Series } from "../../domain/Series.ts"
import { Session } from "../../domain/Session.ts"
import { LedgerError } from "../../services/LedgerDriver.ts"
import { Conflict, Full, Invalid, NotFound } from "../../services/ledger/Refusals.ts"
import { RuntimeUnavailable } from "../../services/ContainerRuntime.ts"
import {
  BackfillRequest,
  TaskChange,
  TaskQuery,
  TaskReport,
  TaskRequest,
} from "../../services/operations/Tasks.ts"
import {
  DeliveryQuery,
  EventQuery,
  GroupChange,
  LiveOutput,
  MessageQuery,
  MessageReport,
  NewGroup,
  RunQuery,
  SendReply,
  SendRequest,
  SessionQuery,
  SessionReport,
  SessionVerb,
  Status,
} from "../../services/operations/Requests.ts"

const refusals = [
  NotFound.pipe(HttpApiSchema.status(404)),
  Conflict.pipe(HttpApiSchema.status(409)),
  Invalid.pipe(HttpApiSchema.status(422)),
  Full.pipe(HttpApiSchema.status(429)),
  LedgerError.pipe(HttpApiSchema.status(503)),
  RuntimeUnavailable.pipe(HttpApiSchema.status(502)),
] as const

export class LedgerApi extends HttpApiGroup.make("ledger", { topLevel: true }).add(
  HttpApiEndpoint.get("status", "/status", { success: Status, error: refusals }),
  HttpApiEndpoint.get("groups", "/groups", { success: Schema.Array(Group), error: refusals }),
  HttpApiEndpoint.post("addGroup", "/groups", {
    payload: NewGroup,
    success: Group,
    error: refusals,
  }),
  HttpApiEndpoint.get("group", "/groups/:id", {
    params: { id: GroupId },
    success: Group,
    error: refusals,
  }),
  HttpApiEndpoint.patch("updateGroup", "/groups/:id", {
    params: { id: GroupId },
    payload: GroupChange,
    success: Group,
    error: refusals,
  }),
  HttpApiEndpoint.get("sessions", "/sessions", {
    query: SessionQuery,
    success: Schema.Array(Session),
    error: refusals,
  }),
  HttpApiEndpoint.get("session", "/sessions/:id", {
    params: { id: SessionId },
    success: SessionReport,
    error: refusals,
  }),
  HttpApiEndpoint.get("liveOutput", "/sessions/:id/output", {
    params: { id: SessionId },
    success: Schema.NullOr(LiveOutput),
    error: refusals,
  }),
  HttpApiEndpoint.post("controlSession", "/sessions/:id/control", {
    params: { id: SessionId },
    payload: Schema.Struct({ what: SessionVerb }),
    success: Session,
    error: refusals,
  }),
  HttpApiEndpoint.post("send", "/messages", { payload: SendRequest, success: SendReply, error: refusals }),
  HttpApiEndpoint.get("messages", "/messages", {
    query: MessageQuery,
    success: Schema.Array(Message),
    error: refusals,
  }),
  HttpApiEndpoint.get("message", "/messages/:id", {
    params: { id: MessageId },
    success: MessageReport,
    error: refusals,
  }),
  HttpApiEndpoint.post("cancelMessage", "/messages/:id/cancel", {
    params: { id: MessageId },
    query: { which: Schema.optional(Schema.Literals(["waiting", "running"])) },
    success: Message,
    error: refusals,
  }),
  HttpApiEndpoint.post("redriveMessage", "/messages/:id/redrive", {
    params: { id: MessageId },
    success: Message,
    error: refusals,
  }),
  HttpApiEndpoint.get("deliveries", "/deliveries", {
    query: DeliveryQuery,
    success: Schema.Array(Delivery),
    error: refusals,
  }),
  HttpApiEndpoint.post("redriveDelivery", "/deliveries/redrive", {
    payload: Schema.Struct({ id: DeliveryId }),
    success: Delivery,
    error: refusals,
  }),
  HttpApiEndpoint.get("tasks", "/tasks", {
    query: TaskQuery,
    success: Schema.Array(Series),
    error: refusals,
  }),
  HttpApiEndpoint.post("addTask", "/tasks", { payload: TaskRequest, success: Series, error: refusals }),
  HttpApiEndpoint.post("backfillTask", "/tasks/:id/backfill", {
    params: { id: SeriesId },
    payload: BackfillRequest,
    success: Schema.Array(Message),
    error: refusals,
  }),
  HttpApiEndpoint.get("task", "/tasks/:id", {
    params: { id: SeriesId },
    query: {
      count: Schema.optional(Schema.NumberFromString.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))),
    },
    success: TaskReport,
    error: refusals,
  }),
  HttpApiEndpoint.post("changeTask", "/tasks/:id", {
    params: { id: SeriesId },
    payload: Schema.Struct({ change: TaskChange }),
    success: Series,
    error: refusals,
  }),
  HttpApiEndpoint.post("runTask", "/tasks/:id/run", {
    params: { id: SeriesId },
    success: Message,
    error: refusals,
  }),
  HttpApiEndpoint.get("events", "/events", {
    query: EventQuery,
    success: Schema.Array(LedgerEvent),
    error: refusals,
  }),
  HttpApiEndpoint.get("runs", "/runs", {
    query: RunQuery,
    success: Schema.Array(Run),
    error: refusals,
  }),
  HttpApiEndpoint.post("backup", "/backup", {
    payload: Schema.Struct({ path: Schema.String.check(Schema.isMinLength(1)) }),
    success: Schema.Struct({ path: Schema.String }),
    error: refusals,
  }),
  HttpApiEndpoint.post("shutdown", "/shutdown", {
    success: Schema.Struct({ stopping: Schema.Literal(true) }),
    error: refusals,
  }),
) {}

export class Api extends HttpApi.make("lamplighter").add(LedgerApi) {}
