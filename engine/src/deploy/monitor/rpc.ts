import grpc from "@grpc/grpc-js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerGrpc from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import resourceGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourcePb from "@pulumi/pulumi/proto/resource_pb.js";
import statusPb from "@pulumi/pulumi/proto/status_pb.js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import structPb from "google-protobuf/google/protobuf/struct_pb.js";
import { grpcLogger } from "./grpcLog.ts";

grpc.setLogger(grpcLogger);

export { emptyPb, engineGrpc, enginePb, grpc, providerGrpc, providerPb, resourceGrpc, resourcePb, statusPb, structPb };

/** Both ways, as the official engine has it: a state of many assets is larger than gRPC's own 4 MB. */
const MAX_MESSAGE_BYTES = 400 * 1024 * 1024;

export const CHANNEL_OPTIONS = {
  "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
  "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
};

/** Loopback only, whatever proxy the environment names. */
export const CLIENT_OPTIONS = { ...CHANNEL_OPTIONS, "grpc.enable_http_proxy": 0 };
