"""A receiver of OTLP logs over gRPC, by the packages that OpenTelemetry publishes.

It appends the body of each record to a file, a line each, and acknowledges it then. What
it holds against the specification of records it counts in an `.odd` file beside it.
"""

import argparse
import os
import time
from concurrent import futures

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc

parser = argparse.ArgumentParser()
parser.add_argument("--listen", required=True)
parser.add_argument("--file", required=True)
parser.add_argument("--key")
parser.add_argument("--cert")
parser.add_argument("--token", help="what the header authorization has to be")
parser.add_argument("--unavailable", type=float, default=0, help="for so many seconds")
parser.add_argument("--busy", type=int, default=0, help="every Nth request is told to wait")
parser.add_argument("--reject", help="records with this text in their body are rejected")
parser.add_argument("--invalid", help="requests with it in a body are refused as a whole")
parser.add_argument("--limit", type=int, default=4 << 20, help="bytes of a request")
args = parser.parse_args()

started = time.monotonic()
out = os.open(args.file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
# What a receiver that was killed had not written whole was not acknowledged.
with open(args.file, "rb") as file:
    os.ftruncate(out, file.read().rfind(b"\n") + 1)


def write(data):
    while data:
        data = data[os.write(out, data) :]


def odd(request):
    """What is wrong with a request; None where nothing is."""
    for resource in request.resource_logs:
        names = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
        if names.get("service.name") != "tracer" or not names.get("host.name"):
            return f"resource: {names}"
        for scope in resource.scope_logs:
            for record in scope.log_records:
                has = {entry.key: entry.value for entry in record.attributes}
                name = "%s-%d" % (has["tracer.run_id"].string_value, has["tracer.seq"].int_value)
                if has["log.record.uid"].string_value != name:
                    return f"name: {has}"
                late = record.observed_time_unix_nano - record.time_unix_nano
                if not 0 <= late < 60_000_000_000:
                    return f"times: {record.time_unix_nano}, {late}"
                health = record.event_name == "tracer.health"
                if record.severity_number != (10 if health else 9):
                    return f"severity: {record}"
    return None


class Logs(logs_service_pb2_grpc.LogsServiceServicer):
    requests = 0

    def Export(self, request, context):
        Logs.requests += 1
        if args.token and dict(context.invocation_metadata()).get("authorization") != args.token:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")
        if time.monotonic() - started < args.unavailable:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if args.busy and Logs.requests % args.busy == 0:
            # google.rpc.Status { code: 8, details: [Any { RetryInfo { 10 ms } }] }
            any_of = b"type.googleapis.com/google.rpc.RetryInfo"
            info = b"\x0a\x05\x10\x80\xad\xe2\x04"
            detail = b"\x0a" + bytes([len(any_of)]) + any_of + b"\x12" + bytes([len(info)]) + info
            status = b"\x08\x08\x1a" + bytes([len(detail)]) + detail
            context.set_trailing_metadata([("grpc-status-details-bin", status)])
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
        wrong = odd(request)
        if wrong:
            with open(args.file + ".odd", "a") as file:
                print(wrong, file=file)
        lines, rejected = [], 0
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    body = record.body.string_value
                    if args.invalid and args.invalid in body:
                        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a bad record")
                    if args.reject and args.reject in body:
                        rejected += 1
                    else:
                        lines.append(body + "\n")
        write("".join(lines).encode())
        answer = logs_service_pb2.ExportLogsServiceResponse()
        if rejected:
            answer.partial_success.rejected_log_records = rejected
            answer.partial_success.error_message = "some are bad"
        return answer


options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", args.limit)]
server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=options)
logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)
if args.cert:
    with open(args.key, "rb") as key, open(args.cert, "rb") as cert:
        pair = (key.read(), cert.read())
    server.add_secure_port(args.listen, grpc.ssl_server_credentials([pair]))
else:
    server.add_insecure_port(args.listen)
server.start()
print("ready", flush=True)
server.wait_for_termination()
