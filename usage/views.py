"""The account as its owner sees it: ``/api/me``, calls, transfers, months."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import user_of
from common.openapi import errors, table
from common.paging import paginate
from common.tables import PageQuery, TableView, read_query
from ledger import history
from usage import receipts, serializers
from usage.state import state_of


class Me(APIView):
    @extend_schema(
        operation_id="me",
        summary="Account, plan, balance and this month",
        description="All that a client needs at its start.",
        responses={200: serializers.MeSerializer, **errors(401, 403, 429, 503)},
        tags=["account"],
    )
    def get(self, request: Request) -> Response:
        return Response(state_of(user_of(request)).body())


class CallList(TableView):
    csv_fields: ClassVar = list(serializers.ReceiptSerializer().fields)

    @extend_schema(
        operation_id="calls",
        summary="Calls that have ended, newest first",
        parameters=[serializers.CallQuery],
        responses={**table(serializers.CallPageSerializer), **errors(400, 401, 403, 429, 503)},
        tags=["usage"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(serializers.CallQuery, request)
        calls = receipts.calls_of(user_of(request), query)
        page = paginate(
            request,
            cursor=self.cursor(query, parts=2),
            limit=self.page_size(request, query.get("limit")),
            fetch=lambda cursor, count: receipts.page_of(calls, cursor, count),
            place=receipts.place,
        )
        page["results"] = [receipts.Receipt.of_call(call) for call in page["results"]]
        return self.respond(page, serializers.ReceiptSerializer)


class CallDetail(APIView):
    @extend_schema(
        operation_id="call",
        summary="The receipt of one call",
        description="A paid answer carries its receipt's id in the header `x-farebox-call`. "
        "While the call runs, its status is `open` and nothing is spent.",
        responses={200: serializers.ReceiptSerializer, **errors(401, 403, 404, 429, 503)},
        tags=["usage"],
    )
    def get(self, request: Request, call_id: uuid.UUID) -> Response:
        receipt = receipts.receipt_of(user_of(request), call_id)
        return Response(serializers.ReceiptSerializer(receipt).data)


class TransferList(TableView):
    csv_fields: ClassVar = list(serializers.TransferSerializer().fields)

    @extend_schema(
        operation_id="transfers",
        summary="What came into the wallet and what left it, newest first",
        parameters=[PageQuery],
        responses={**table(serializers.TransferPageSerializer), **errors(400, 401, 403, 429, 503)},
        tags=["account"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(PageQuery, request)
        wallet = history.wallet_id_of(user_of(request))
        page = paginate(
            request,
            cursor=self.cursor(query, parts=1),
            limit=self.page_size(request, query.get("limit")),
            fetch=lambda cursor, count: (
                history.transfers_of(wallet, cursor, count) if wallet else []
            ),
            place=history.place,
        )
        return self.respond(page, serializers.TransferSerializer)


class UsageList(TableView):
    csv_fields: ClassVar = list(serializers.MonthSerializer().fields)

    @extend_schema(
        operation_id="usage",
        summary="Requests, tokens and credits by month, newest first",
        responses={**table(serializers.MonthsSerializer), **errors(401, 403, 429, 503)},
        tags=["usage"],
    )
    def get(self, request: Request) -> Response:
        return self.respond(
            {"results": receipts.months_of(user_of(request))}, serializers.MonthSerializer
        )
