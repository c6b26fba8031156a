"""What somebody has and what they paid."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.authentication import user_of
from accounts.models import ApiKey
from billing import invoices, serializers, subscriptions
from common.openapi import errors, table
from common.paging import paginate
from common.tables import PageQuery, TableView, read_query


class Subscription(APIView):
    @extend_schema(
        operation_id="subscription",
        summary="The plan, and what becomes of it",
        responses={200: serializers.SubscriptionSerializer, **errors(401, 403, 429, 503)},
        tags=["billing"],
    )
    def get(self, request: Request) -> Response:
        shown = subscriptions.show(user_of(request))
        return Response(serializers.SubscriptionSerializer(shown).data)


def _whole(bill: invoices.Bill) -> invoices.Bill:
    return bill


class InvoiceList(TableView):
    csv_fields: ClassVar = list(serializers.InvoiceSerializer().fields)

    @extend_schema(
        operation_id="invoices",
        summary="Invoices and payments, newest first",
        description="Of plans the invoices, of credits the payments. Stripe's pages of them name "
        "people and addresses and open to whoever has the link: with an API key there are none.",
        parameters=[PageQuery],
        responses={
            **table(serializers.InvoicePageSerializer),
            **errors(400, 401, 403, 429, 503),
        },
        tags=["billing"],
    )
    def get(self, request: Request) -> Response:
        query = read_query(PageQuery, request)
        user = user_of(request)
        shown = invoices.without_pages if isinstance(request.auth, ApiKey) else _whole
        page = paginate(
            request,
            cursor=self.cursor(query, parts=invoices.PARTS),
            limit=self.page_size(request, query.get("limit")),
            fetch=lambda cursor, count: [
                shown(bill) for bill in invoices.bills(user, cursor, count)
            ],
            place=lambda bill: bill.place,
        )
        return self.respond(page, serializers.InvoiceSerializer)
