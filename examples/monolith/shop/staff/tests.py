"""The staff's pages."""

from datetime import date, datetime
from decimal import Decimal

from django.core import mail
from django.utils import timezone

from shop.catalogue.models import Category, Product
from shop.orders import services
from shop.orders.models import Order
from shop.reviews.models import Review
from shop.staff.report import by_day
from shop.testing import ShopTestCase, make_category, make_customer, make_order, make_product, make_staff


class StaffTestCase(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.staff, cls.ann = make_staff(), make_customer("Ann Able")
        cls.kitchen = make_category("Kitchen")
        cls.kettle = make_product("Kettle", "19.90", category=cls.kitchen)
        cls.pan = make_product("Pan", "35.00")

    def setUp(self):
        self.client.force_login(self.staff)


class AccessTests(StaffTestCase):
    def test_customers_are_refused(self):
        self.client.force_login(self.ann.user)
        for path in ("orders", "products", "categories", "reviews", "report"):
            self.assertEqual(self.client.get(f"/staff/{path}/").status_code, 403)
        self.assertEqual(self.client.post(f"/staff/products/{self.kettle.pk}/delete/").status_code, 403)
        self.assertTrue(Product.objects.filter(pk=self.kettle.pk).exists())

    def test_strangers_are_asked_to_log_in(self):
        self.client.logout()
        self.assertRedirects(self.client.get("/staff/orders/"), "/account/login/?next=/staff/orders/")


class ProductTests(StaffTestCase):
    def values(self, **values):
        given = {"name": "Teapot", "category": self.kitchen.pk, "description": "", "price": "24.00", "stock": 3}
        return {**given, "on_sale": "on", **values}

    def test_a_new_product_is_on_sale(self):
        page = self.client.post("/staff/products/new/", self.values(), follow=True)
        self.assertContains(page, "Teapot is saved.")
        teapot = Product.objects.get(name="Teapot")
        self.assertEqual((teapot.category, teapot.price, teapot.stock), (self.kitchen, Decimal("24.00"), 3))
        self.assertContains(self.client.get(self.kitchen.get_absolute_url()), "Teapot")

    def test_a_product_is_changed_and_may_lose_its_category(self):
        path = f"/staff/products/{self.kettle.pk}/"
        self.assertContains(self.client.get(path), f'<option value="{self.kitchen.pk}" selected>Kitchen</option>')
        self.client.post(path, self.values(name="Kettle", price="17.50", category=""))
        kettle = Product.objects.get(pk=self.kettle.pk)
        self.assertEqual((kettle.price, kettle.category), (Decimal("17.50"), None))

    def test_a_form_refuses_what_no_product_has(self):
        for wrong in ({"price": "-1"}, {"price": "1.999"}, {"stock": "-1"}, {"name": ""}, {"category": "0"}):
            page = self.client.post("/staff/products/new/", self.values(**wrong))
            self.assertEqual(list(page.context["form"].errors), list(wrong))
        self.assertFalse(Product.objects.filter(name="Teapot").exists())

    def test_a_product_is_deleted_once_the_staff_are_sure(self):
        path = f"/staff/products/{self.kettle.pk}/delete/"
        self.assertContains(self.client.get(path), "Delete Kettle?")
        self.client.post(path)
        self.assertEqual(list(Product.objects.all()), [self.pan])

    def test_a_product_that_was_ordered_is_kept(self):
        make_order(self.ann, self.kettle)
        page = self.client.post(f"/staff/products/{self.kettle.pk}/delete/", follow=True)
        self.assertContains(page, "Kettle was ordered; take it off sale instead.")
        self.assertTrue(Product.objects.filter(pk=self.kettle.pk).exists())

    def test_the_staff_find_products_that_are_off_sale_too(self):
        Product.objects.filter(pk=self.pan.pk).update(on_sale=False)
        self.assertEqual(list(self.client.get("/staff/products/?q=PAN").context["page_obj"]), [self.pan])


class CategoryTests(StaffTestCase):
    def test_a_category_is_made_renamed_and_deleted(self):
        self.client.post("/staff/categories/new/", {"name": "Garden", "slug": "garden"})
        garden = Category.objects.get(slug="garden")
        self.client.post(f"/staff/categories/{garden.pk}/", {"name": "Yard", "slug": "yard"})
        self.assertContains(self.client.get("/staff/categories/"), "Yard")
        self.client.post(f"/staff/categories/{garden.pk}/delete/")
        self.assertEqual(list(Category.objects.all()), [self.kitchen])

    def test_a_slug_that_is_taken_is_refused(self):
        page = self.client.post("/staff/categories/new/", {"name": "Galley", "slug": "kitchen"})
        self.assertContains(page, "Category with this Slug already exists.")

    def test_a_category_keeps_its_own_slug_when_it_is_renamed(self):
        self.client.post(f"/staff/categories/{self.kitchen.pk}/", {"name": "Galley", "slug": "kitchen"})
        self.assertEqual(Category.objects.get().name, "Galley")


class OrderTests(StaffTestCase):
    @classmethod
    def setUpTestData(cls):
        super().setUpTestData()
        cls.bob = make_customer("Bob Baker")
        cls.of_ann = make_order(cls.ann, cls.kettle)
        cls.of_bob = make_order(cls.bob, cls.pan, name="Bob Baker", city="Halle")

    def found(self, **query):
        return list(self.client.get("/staff/orders/", query).context["page_obj"])

    def test_orders_are_searched_by_name_city_and_number(self):
        self.assertEqual(self.found(q="BAKER"), [self.of_bob])
        self.assertEqual(self.found(q="leip"), [self.of_ann])
        self.assertEqual(self.found(q=str(self.of_ann.pk)), [self.of_ann])
        self.assertEqual(self.found(q="9" * 30), [])

    def test_orders_are_filtered_by_status(self):
        services.cancel(self.of_bob)
        self.assertEqual(self.found(status="new"), [self.of_ann])
        self.assertEqual(self.found(status="lost"), [self.of_bob, self.of_ann])

    def test_shipping_an_order_tells_its_customer(self):
        page = self.client.post(f"/staff/orders/{self.of_ann.pk}/ship/", follow=True)
        self.assertContains(page, f"Order {self.of_ann.pk} is shipped.")
        self.assertContains(page, "shipped on")
        (message,) = mail.outbox
        self.assertEqual(message.subject, f"Your order {self.of_ann.pk} is on its way")
        self.assertIn("1 x Kettle", message.body)

    def test_an_order_is_shipped_once(self):
        services.ship(self.of_ann)
        page = self.client.post(f"/staff/orders/{self.of_ann.pk}/ship/", follow=True)
        self.assertContains(page, "is not new any more.")
        self.assertEqual(len(mail.outbox), 1)

    def test_cancelling_an_order_fills_the_stock_again(self):
        self.client.post(f"/staff/orders/{self.of_ann.pk}/cancel/")
        self.assertEqual(Order.objects.get(pk=self.of_ann.pk).status, "cancelled")
        self.assertEqual(Product.objects.get(pk=self.kettle.pk).stock, 10)


class ReviewTests(StaffTestCase):
    def test_a_hidden_review_is_gone_from_the_products_page_until_it_is_published_again(self):
        review = Review.objects.create(product=self.kettle, customer=self.ann, author="Ann Able", stars=2, text="Rusts")
        path = f"/staff/reviews/{review.pk}/publish/"
        self.assertContains(self.client.post(path, follow=True), "Publish")
        self.assertNotContains(self.client.get(self.kettle.get_absolute_url()), "Rusts")
        self.client.post(path)
        self.assertContains(self.client.get(self.kettle.get_absolute_url()), "Rusts")


class ReportTests(StaffTestCase):
    def order(self, placed_at, product):
        moment = timezone.make_aware(datetime.fromisoformat(placed_at))
        return make_order(self.ann, product, placed_at=moment)

    def report(self, first, last, **query):
        return self.client.get("/staff/report/", {"first": first, "last": last, **query})

    def test_each_day_has_its_orders_and_its_revenue_by_the_shops_clock(self):
        for placed_at, product in (
            ("2026-03-01T23:59:59", self.pan),
            ("2026-03-02T00:00:00", self.kettle),
            ("2026-03-02T23:59:59", self.pan),
            ("2026-03-04T00:00:00", self.pan),
        ):
            self.order(placed_at, product)
        found = [(day.day, day.orders, day.revenue) for day in by_day(date(2026, 3, 2), date(2026, 3, 3))]
        self.assertEqual(found, [(date(2026, 3, 2), 2, Decimal("54.90")), (date(2026, 3, 3), 0, Decimal("0.00"))])

    def test_cancelled_orders_do_not_count(self):
        self.order("2026-03-02T10:00:00", self.kettle)
        services.cancel(self.order("2026-03-02T11:00:00", self.pan))
        page = self.report("2026-03-01", "2026-03-31")
        self.assertContains(page, "<strong>1</strong> order, <strong>19.90 €</strong>")

    def test_the_report_is_of_the_last_30_days_unless_asked_otherwise(self):
        make_order(self.ann, self.kettle)
        page = self.client.get("/staff/report/")
        self.assertContains(page, "<strong>1</strong> order,")
        self.assertEqual(len(page.context["days"]), 30)
        self.assertEqual(page.context["days"][-1].day, timezone.localdate())

    def test_a_period_has_an_end_after_its_beginning_within_a_year(self):
        for first, last in (("2026-03-02", "2026-03-01"), ("2024-01-01", "2026-01-01")):
            self.assertContains(self.report(first, last), "Choose a period of 1 to 366 days.")
        self.assertContains(self.report("yesterday", "2026-03-01"), "Enter a valid date.")

    def test_the_report_comes_as_csv(self):
        self.order("2026-03-02T10:00:00", self.kettle)
        text = self.report("2026-03-01", "2026-03-02", format="csv").content.decode()
        self.assertEqual(text.splitlines(), ["day,orders,revenue", "2026-03-01,0,0.00", "2026-03-02,1,19.90"])
